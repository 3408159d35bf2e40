#pragma once

// Whether nearly all requests come from one client. Behind a proxy that is rarely so: more likely the proxy
// does not say whom it asks for, or is not believed, and all its clients share one bucket.

#include <cstdint>
#include <optional>

#include "service/limit/client_key.h"

namespace sluice::policy {

/// Looks at requests in windows of kWindow. In each a Boyer-Moore majority vote picks a suspect, and the next
/// window counts the suspect's requests exactly. So 44 bytes find a client that made nine tenths of two
/// windows in a row, with an exact count for the second.
///
/// A window ends by its count, so that nothing runs beside the requests. Not for several threads at a time.
class OneClient {
  public:
    static constexpr std::uint32_t kWindow = 1000;
    static constexpr std::uint32_t kNearlyAll = kWindow / 10 * 9;

    struct Found {
        limit::Address client;
        std::uint32_t requests;  // of the last kWindow
    };

    /// Counts a request of `client`. Found: it is the last of a window that had at least kNearlyAll of the
    /// suspect.
    std::optional<Found> count(const limit::Address& client) {
        if (client == suspect_) ++suspects_;
        if (votes_ == 0) favourite_ = client;
        client == favourite_ ? ++votes_ : --votes_;
        if (++seen_ < kWindow) [[likely]]
            return std::nullopt;
        return next_window();
    }

  private:
    std::optional<Found> next_window();

    limit::Address favourite_{};
    limit::Address suspect_{};  // at first nobody's: no client over TCP has this address
    std::uint32_t votes_ = 0;
    std::uint32_t suspects_ = 0;
    std::uint32_t seen_ = 0;
};

}  // namespace sluice::policy
