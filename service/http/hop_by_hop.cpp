#include "service/http/hop_by_hop.h"

#include <algorithm>

#include "service/http/text.h"

namespace sluice::http {

namespace {

// Each name is compared with each field: the bound keeps a head full of names from costing milliseconds.
constexpr int kNamesMax = 16;

void name_away(Fields& fields, std::string_view name) {
    for (Field& field : fields.all())
        if (!kUnnameable.contains(field.id) && equals_ignoring_case(field.name, name)) field.hop = true;
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
            else if (++names > kNamesMax)
                return std::unexpected(Refusal{400, "Connection names too many fields"});
            else
                name_away(fields, option);
        }
    }
    return options;
}

bool may_trail(std::string_view name) {
    const FieldId id = identify(name);
    if (id != FieldId::other) return false;
    return std::ranges::none_of(kNoTrailers,
                                [&](std::string_view no) { return equals_ignoring_case(name, no); });
}

}  // namespace sluice::http
