#pragma once

// Where a server is: one address that the configuration gives in digits or as a path, or those that its name
// stands for at present.
//
// A name is looked up off the workers and again and again, by a task of its own, so that no request waits for
// the resolver but those that come before its first answer. getaddrinfo() does not tell how long an answer
// holds: it is taken to hold half a minute, less when a connection to none of the addresses could be made. A
// name that stops resolving keeps its last addresses. One that cannot be looked up is tried again after a
// second, then after two, four and so on; sooner when somebody asks for it, unless the servers of names were
// silent: then many such names would keep the others from their turn.
//
// Any task; only `in_turn` and `keep_looking_up` park.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "config/model.h"
#include "runtime/resolve.h"
#include "runtime/semaphore.h"
#include "runtime/tcp.h"
#include "runtime/wait_group.h"
#include "service/upstream/error.h"

namespace sluice::upstream {

/// As runtime::resolve_patiently, which it is but in tests.
using Resolve =
    std::function<runtime::Resolved(const std::string& host, std::uint16_t port, runtime::Duration patience,
                                    const std::function<void()>& late)>;

class Addresses {
  public:
    static constexpr runtime::Duration kHolds = std::chrono::seconds(30);
    static constexpr runtime::Duration kAgain =
        std::chrono::seconds(1);  // after a failure; twice that each time
    static constexpr runtime::Duration kAgainMax = std::chrono::seconds(30);
    static constexpr runtime::Duration kPatience = std::chrono::seconds(10);  // then a lookup has failed

    explicit Addresses(const config::Address& address);

    /// In digits, or a path: nothing to look up.
    bool fixed() const { return fixed_; }
    /// The one. REQUIRES: fixed().
    const runtime::Endpoint& only() const { return known_.front(); }

    /// All addresses of the name, beginning with the one whose turn it is. Waits for the first lookup until
    /// `deadline`: timeout. Error lookup: the name has never had an address, and is looked up soon.
    std::expected<std::vector<runtime::Endpoint>, Error> in_turn(runtime::Time deadline);
    /// No address took a connection: looks the name up soon.
    void doubt();

    /// Raised when the addresses become others. A connection made under this number is to one of them.
    std::uint32_t version() const { return version_.load(std::memory_order_acquire); }
    bool contain(const runtime::Endpoint& address) const;

    /// How the last lookup came out, when it is another way than the one before; or there are new addresses.
    enum class News : std::uint8_t { failed, recovered, moved };
    using Tell = std::function<void(News, std::string_view detail)>;
    /// Looks the name up until the task is cancelled. The body of one task.
    void keep_looking_up(const Resolve& resolve, const Tell& tell);

  private:
    enum class Outcome : std::uint8_t { found, failed, late };
    Outcome look_up(const Resolve& resolve, const Tell& tell);
    void note(bool failed, std::string_view reason, const Tell& tell);
    void note_first();
    bool learn(std::vector<runtime::Endpoint> found);

    // Fixed.
    const std::string host_;
    const std::uint16_t port_;
    bool fixed_ = false;

    runtime::WaitGroup first_;  // the first lookup, or kPatience of it
    runtime::Semaphore doubts_{0};
    std::atomic<bool> doubted_{false};
    std::atomic<std::uint32_t> version_{0};
    std::atomic<std::size_t> turn_{0};
    bool failing_ = false;  // of the task that looks up, as below
    bool asked_ = false;    // first_ is over

    mutable std::mutex lock_;               // never held across a park
    std::vector<runtime::Endpoint> known_;  // sorted
};

}  // namespace sluice::upstream
