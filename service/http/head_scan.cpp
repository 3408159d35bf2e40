#include <algorithm>
#include <cstring>

#include "service/http/read_head.h"
#include "service/http/text.h"

namespace sluice::http {

namespace {

constexpr std::size_t kEmptyLinesBeforeMax = 4;
constexpr Refusal kBareLf{400, "a line of the head does not end in CR LF"};
constexpr Refusal kFolded{400, "a line of the head begins with white space"};
constexpr Refusal kEmptyLines{400, "too many empty lines before the request"};
constexpr Refusal kNotHttp{400, "the bytes are not HTTP"};
constexpr Refusal kTooLong{431, "the head is longer than max.head"};
constexpr Refusal kTooMany{431, "the head has more fields than max.headers"};

}  // namespace

// One search for LF per line: every line end is looked at once however the bytes arrive, and a line that
// other readers of HTTP may end elsewhere, or join to the one before, is refused as soon as it is there.
std::expected<std::size_t, Refusal> HeadScan::find_end(std::string_view bytes, const HeadLimits& limits) {
    const std::string_view within = bytes.substr(0, limits.bytes);
    while (scanned_ < within.size()) {
        const char first = within[line_];
        if (line_ > start_ && is_blank(first)) return std::unexpected(kFolded);
        if (lines_ == 0 && first != '\r' && !is_token_char(first)) return std::unexpected(kNotHttp);

        const void* lf = std::memchr(within.data() + scanned_, '\n', within.size() - scanned_);
        if (!lf) {
            scanned_ = within.size();
            break;
        }
        const auto end = static_cast<std::size_t>(static_cast<const char*>(lf) - within.data());
        scanned_ = end + 1;
        if (end == line_ || within[end - 1] != '\r') return std::unexpected(kBareLf);

        const bool empty = end == line_ + 1;
        line_ = end + 1;
        if (empty && lines_ > 0) return line_;
        if (empty) {
            start_ = line_;
            if (++empty_before_ > kEmptyLinesBeforeMax) return std::unexpected(kEmptyLines);
        } else if (lines_++ > std::min(limits.fields, Fields::kMax)) {
            return std::unexpected(kTooMany);
        }
    }
    if (bytes.size() >= limits.bytes) return std::unexpected(kTooLong);
    return 0;
}

}  // namespace sluice::http
