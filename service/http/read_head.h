#pragma once

// Finds the end of a head in bytes as they arrive, and turns it into a RequestHead or ResponseHead, or says
// why it is none. Nothing is allocated or copied, nothing parks. The bytes stay the caller's; the heads point
// into them.
//
//     HeadScan scan;
//     while (true) {
//         auto size = read_request_head(std::string_view(buffer, filled), scan, limits, head);
//         if (!size) return refuse(size.error());
//         if (*size > 0) break;                          // buffer[*size…filled) is body, or the next request
//         filled += read more behind what is there;
//     }
//
// Strict: RFC 9112 has places where a recipient may be lenient; here it never is. What passes is unambiguous
// to any other reader of HTTP/1.1.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <string_view>

#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::http {

struct HeadLimits {
    std::size_t bytes = 16 * 1024;  // of the whole head, with the empty lines before it
    std::size_t fields = 100;       // at most Fields::kMax
    std::uint64_t body =
        std::numeric_limits<std::uint64_t>::max();  // a longer Content-Length is refused with 413
};

/// How far the search for the end of one head has come. A new one for each head.
class HeadScan {
  public:
    /// Whether a byte of the head itself has come: what was before are empty lines (RFC 9112 §2.2).
    bool begun() const { return lines_ > 0 || line_ < scanned_; }

    /// The length of the head at the front of `bytes`, empty lines before it included; 0: more is needed.
    /// `bytes` begins where it began in the call before. Refuses what no continuation can mend: a line that
    /// ends in a bare LF, a folded line, too many lines or bytes.
    std::expected<std::size_t, Refusal> find_end(std::string_view bytes, const HeadLimits& limits);

    /// Where the first line of the head begins.
    std::size_t start() const { return start_; }

  private:
    std::size_t scanned_ = 0;
    std::size_t line_ = 0;  // where the line under way begins
    std::size_t start_ = 0;
    std::size_t lines_ = 0;  // complete ones of the head
    std::size_t empty_before_ = 0;
};

/// Bytes of the head once it is complete, and `head` is filled; 0: more is needed. On a refusal `head` may be
/// filled in part, so far as it helps a log: method_text and target are either empty or right.
/// REQUIRES: `head` is as it was made; nothing of it is cleared here.
std::expected<std::size_t, Refusal> read_request_head(std::string_view bytes, HeadScan& scan,
                                                      const HeadLimits& limits, RequestHead& head);

/// The same for an answer to a request made with `method`, which decides whether a body follows. The answer
/// after an interim one needs a HeadScan and a ResponseHead of its own. limits.body is not looked at.
/// Refusal::status is of no meaning here.
std::expected<std::size_t, Refusal> read_response_head(std::string_view bytes, HeadScan& scan,
                                                       const HeadLimits& limits, Method method,
                                                       ResponseHead& head);

}  // namespace sluice::http
