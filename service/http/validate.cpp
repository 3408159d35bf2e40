#include "service/http/validate.h"

#include "service/http/framing.h"
#include "service/http/hop_by_hop.h"
#include "service/http/target.h"
#include "service/http/text.h"

namespace sluice::http {

namespace {

using Result = std::expected<void, Refusal>;

Result refuse(int status, std::string_view reason) {
    return std::unexpected(Refusal{status, reason});
}

// A name that some gateway takes for a framing field must not get near one.
Result check_lookalikes(const Fields& fields) {
    if (!fields.has(FieldId::lookalike)) return {};
    for (const Field& field : fields)
        if (equals_ignoring_case(field.name, "transfer_encoding") ||
            equals_ignoring_case(field.name, "content_length"))
            return refuse(400, "a field name that imitates one of framing");
    return {};
}

// RFC 9110 §10.1.1. Only what every client sends is understood; a 1.0 client cannot mean it.
Result read_expect(RequestHead& head) {
    if (!head.fields.has(FieldId::expect)) return {};
    for (const Field& field : head.fields)
        if (field.id == FieldId::expect && !equals_ignoring_case(field.value, "100-continue"))
            return refuse(417, "an expectation other than 100-continue");
    head.expect_continue = head.minor > 0;
    return {};
}

// RFC 9110 §10.1.4: of TE, only the wish for trailers is not of the client's connection alone.
bool wants_trailers(const Fields& fields) {
    if (!fields.has(FieldId::te)) return false;
    for (const Field& field : fields) {
        if (field.id != FieldId::te) continue;
        ListCursor list(field.value);
        for (std::string_view element; list.next(element);)
            if (equals_ignoring_case(element, "trailers")) return true;
    }
    return false;
}

// The one protocol asked for; HTTP/2 is spoken with neither side, and a choice of several is no wish that we
// could pass on whole (RFC 9110 §7.8, RFC 9113 §3.1).
std::string_view single_protocol(const Fields& fields) {
    if (fields.count(FieldId::upgrade) != 1) return {};
    const std::string_view value = fields.value(FieldId::upgrade);
    const std::string_view name = value.substr(0, value.find('/'));
    const bool http = equals_ignoring_case(name.substr(0, 2), "h2") || equals_ignoring_case(name, "http");
    return is_token(name) && value.find_first_of(", ") == std::string_view::npos && !http
               ? value
               : std::string_view();
}

bool goes_on(const ConnectionOptions& connection, int minor) {
    return !connection.close && (minor > 0 || connection.keep_alive);
}

}  // namespace

Result validate(RequestHead& head) {
    // RFC 9110 §9.3.6: we are no tunnel, and its target has a form of its own.
    if (head.method_text == "CONNECT") return refuse(501, "CONNECT is not supported");
    if (const auto good = check_lookalikes(head.fields); !good) return good;
    const auto declared = read_framing(head.fields, head.minor);
    if (!declared) return std::unexpected(declared.error());
    // A request without either field has no body, §6.3 rule 7.
    head.framing = declared->chunked  ? Framing::chunked()
                   : declared->length ? Framing::of_length(*declared->length)
                                      : Framing::none();
    if (const auto good = read_target(head); !good) return good;
    const auto connection = read_connection(head.fields);
    if (!connection) return std::unexpected(connection.error());
    head.keep_alive = goes_on(*connection, head.minor);
    head.framing.drop_trailers = connection->names;
    head.te_trailers = wants_trailers(head.fields);
    if (connection->upgrade && head.minor > 0) head.upgrade = single_protocol(head.fields);
    return read_expect(head);
}

Result validate(ResponseHead& head, Method method) {
    const auto declared = read_framing(head.fields, head.minor);
    if (!declared) return std::unexpected(declared.error());
    head.has_length = declared->length.has_value();
    head.length = declared->length.value_or(0);
    const auto connection = read_connection(head.fields);
    if (!connection) return std::unexpected(connection.error());
    head.keep_alive = goes_on(*connection, head.minor);

    // §6.3, rules 1 to 8 in their order.
    if (method == Method::head || head.status < 200 || head.status == 204 || head.status == 304)
        head.framing = Framing::none();
    else if (declared->chunked)
        head.framing = Framing::chunked();
    else if (declared->length)
        head.framing = Framing::of_length(*declared->length);
    else
        head.framing = Framing::until_close();
    head.framing.drop_trailers = connection->names;
    if (head.framing.kind == Framing::Kind::until_close) head.keep_alive = false;
    if (head.status == 101) head.upgrade = single_protocol(head.fields);
    return {};
}

}  // namespace sluice::http
