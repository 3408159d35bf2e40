#pragma once

// Refusals that are ready to be sent. Under an attack nearly all of them are the same bytes but for the date,
// so each worker keeps those that it wrote last, and copies where it would write.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "service/policy/decide.h"

namespace sluice::proxy {

/// What the bytes of a refusal depend on, but for the date. The version of the configuration is part of it:
/// `limit` may have been another one's address before.
struct RefusalForm {
    const policy::Limit* limit = nullptr;
    std::uint64_t version = 0;
    std::uint64_t remaining = 0, next_token = 0, retry_after = 0;  // the times in seconds, as they are told
    bool keep_alive = false;
    int minor = 1;  // of the client's version

    bool operator==(const RefusalForm&) const = default;
};

struct PreparedRefusal {
    std::string_view answer;  // whole
    std::size_t body_size;
};

/// Of one worker, and used between two parks. 11 KiB.
class PreparedRefusals {
  public:
    static constexpr std::size_t kLongest = 640;  // a longer answer is not kept

    /// The answer of this form at the front of `room`, told at `date`; nullopt: it is not here.
    std::optional<PreparedRefusal> copy(const RefusalForm& form, std::string_view date,
                                        std::span<char> room) const;
    /// Keeps an answer, in the place of one that has the same retry_after or nearly so. Its Date, if any, is
    /// to be the first field, as http::write_reply() has it.
    void keep(const RefusalForm& form, const PreparedRefusal& refusal);

  private:
    struct Entry {
        RefusalForm form;  // without a limit: empty
        std::uint16_t size = 0, body_size = 0, date_at = 0;
        std::array<char, kLongest> bytes;
    };

    static constexpr std::size_t kEntries = 16;
    static std::size_t place_of(const RefusalForm& form);

    std::array<Entry, kEntries> entries_{};
};

}  // namespace sluice::proxy
