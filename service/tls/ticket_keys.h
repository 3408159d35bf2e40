#pragma once

// The keys under which a server gives its sessions away: a client brings its ticket back, and we need keep
// nothing.

#include <array>
#include <mutex>
#include <optional>

#include "runtime/time.h"

namespace sluice::tls {

/// One key: its name is in the ticket.
struct TicketKey {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher;
    std::array<unsigned char, 32> mac;
};

/// TicketKeys: outlives a reload, so that clients can resume behind it. A key makes tickets for four hours
/// and opens them for four more; who learns the keys of a process can read what was resumed in that time. Any
/// thread.
class TicketKeys {
  public:
    static constexpr runtime::Duration kLife = std::chrono::hours(4);

    /// The key for new tickets; a new one when the last is too old. Nothing when there is no randomness.
    std::optional<TicketKey> current(runtime::Time now);
    /// The key of that name, while it opens tickets; `fresh`: it still makes them.
    struct Found {
        TicketKey key;
        bool fresh;
    };
    std::optional<Found> find(const unsigned char* name, runtime::Time now);

  private:
    struct Dated {
        TicketKey key;
        runtime::Time made;
    };
    std::mutex lock_;
    std::optional<Dated> keys_[2];  // the newer first; guarded by lock_
};

}  // namespace sluice::tls
