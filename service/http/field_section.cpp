#include "service/http/field_section.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "service/http/text.h"

namespace sluice::http {

namespace {

constexpr Refusal kBadName{400, "a field name is not a token"};
constexpr Refusal kBadValue{400, "a field value holds a control character"};
constexpr Refusal kBadLine{400, "a field line is malformed"};
constexpr Refusal kTooMany{431, "the head has more fields than max.headers"};

// RFC 9110 §5.5: no control character but the tab; what is above ASCII is nobody's business but the reader's.
constexpr bool ends_value(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

constexpr std::uint64_t each(std::uint8_t byte) {
    return 0x0101010101010101u * byte;
}

// The high bit of each byte of `word` that is below 0x20 or is 0x7f; right up to the first such byte, and
// what is behind that may be anything.
constexpr std::uint64_t controls(std::uint64_t word) {
    const std::uint64_t delete_is_zero = word ^ each(0x7f);
    return (((word - each(0x20)) & ~word) | ((delete_is_zero - each(1)) & ~delete_is_zero)) & each(0x80);
}

// The first character from `at` on that no value may hold, be it the CR that ends the line. Eight at a time:
// values are most of a head.
const char* find_value_end(const char* at, const char* end) {
    while (true) {
        if constexpr (std::endian::native == std::endian::little) {
            for (; end - at >= 8; at += 8) {
                std::uint64_t word;
                std::memcpy(&word, at, sizeof word);
                if (const std::uint64_t found = controls(word)) {
                    at += std::countr_zero(found) / 8;
                    break;
                }
            }
        }
        // A tab, or the last bytes.
        if (at == end || ends_value(*at)) return at;
        ++at;
    }
}

}  // namespace

std::expected<void, Refusal> read_fields(std::string_view section, Fields& into) {
    const char* at = section.data();
    const char* const end = at + section.size();
    // The last two are the empty line's, so that each loop below stops before the end.
    while (end - at > 2) {
        const char* const name = at;
        while (is_token_char(*at)) ++at;
        if (*at != ':' || at == name) return std::unexpected(kBadName);
        const char* const colon = at++;

        while (is_blank(*at)) ++at;
        const char* value = at;
        at = find_value_end(at, end);
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return std::unexpected(kBadValue);
        const char* value_end = at;
        while (value_end > value && is_blank(value_end[-1])) --value_end;
        at += 2;

        if (into.full()) return std::unexpected(kTooMany);
        const std::string_view name_text(name, colon);
        const bool plain = value == colon + 2 && value[-1] == ' ' && value_end + 2 == at;
        into.add({name_text, std::string_view(value, value_end), identify(name_text), false, plain});
    }
    if (std::string_view(at, end) != "\r\n") return std::unexpected(kBadLine);
    return {};
}

}  // namespace sluice::http
