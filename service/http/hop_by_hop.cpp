#include "service/http/hop_by_hop.h"

#include <algorithm>

#include "service/http/text.h"

namespace sluice::http {

namespace {

// Each name is compared with each field: the bound keeps a head full of names from costing milliseconds.
constexpr int kNamesMax = 16;

constexpr Refusal kBadList{400, "Connection is not a list of tokens"};

void name_away(Fields& fields, std::string_view name) {
    for (Field& field : fields.all())
        if (!kUnnameable.contains(field.id) && equals_ignoring_case(field.name, name)) field.hop = true;
}

// Whether all fields of that kind are lists of tokens, RFC 9110 §7.6.1. One that is none means something to
// whoever sent it, and it is not known what.
bool are_lists(const Fields& fields, FieldId id) {
    for (const Field& field : fields) {
        if (field.id != id) continue;
        ListCursor list(field.value);
        for (std::string_view option; list.next(option);)
            if (!option.empty() && !is_token(option)) return false;
    }
    return true;
}

// Beside the known ones: RFC 9110 §6.5.1's kinds, by name.
constexpr std::string_view kNoTrailers[] = {
    "age",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "expires",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "set-cookie",
    "vary",
    "warning",
    "www-authenticate",
};

}  // namespace

std::expected<ConnectionOptions, Refusal> read_connection(Fields& fields) {
    ConnectionOptions options;
    if (fields.has(FieldId::proxy_connection) && !are_lists(fields, FieldId::proxy_connection))
        return std::unexpected(kBadList);
    if (!fields.has(FieldId::connection)) return options;
    int names = 0;
    for (const Field& field : fields) {
        if (field.id != FieldId::connection) continue;
        ListCursor list(field.value);
        for (std::string_view option; list.next(option);) {
            if (option.empty()) continue;  // RFC 9110 §5.6.1.2: a recipient reads over them
            if (equals_ignoring_case(option, "close"))
                options.close = true;
            else if (equals_ignoring_case(option, "keep-alive"))
                options.keep_alive = true;
            else if (equals_ignoring_case(option, "upgrade"))
                options.upgrade = true;
            else if (!is_token(option))
                return std::unexpected(kBadList);
            else if (++names > kNamesMax)
                return std::unexpected(Refusal{400, "Connection names too many fields"});
            else {
                options.names = options.names || !kNotCopied.contains(identify(option));
                name_away(fields, option);
            }
        }
    }
    return options;
}

bool may_trail(std::string_view name) {
    if (identify(name) != FieldId::other) return false;
    return std::ranges::none_of(kNoTrailers, [&](std::string_view no) { return passes_for(name, no); });
}

}  // namespace sluice::http
