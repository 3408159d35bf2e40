#include "service/http/framing.h"

#include <algorithm>
#include <charconv>

#include "service/http/text.h"

namespace sluice::http {

namespace {

std::unexpected<Refusal> refuse(int status, std::string_view reason) {
    return std::unexpected(Refusal{status, reason});
}

// RFC 9110 §8.6: digits only, one number, once. Leading zeros mean nothing; the number is written anew.
std::expected<std::uint64_t, Refusal> read_length(std::string_view text) {
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size())
        return refuse(400, "Content-Length is not one decimal number");
    return length;
}

// RFC 9112 §6.1, §7: `chunked` once, last and bare. A coding that we do not know may be correct, so it is
// 501; a list that is none, or that hides where the body ends, is 400.
std::expected<void, Refusal> check_codings(std::string_view value) {
    bool unknown = false;
    bool chunked = false;
    ListCursor codings(value);
    for (std::string_view coding; codings.next(coding);) {
        if (chunked) return refuse(400, "chunked is not the last transfer coding");
        const std::size_t parameters = coding.find(';');
        const std::string_view name = trimmed(coding.substr(0, parameters));
        if (!is_token(name)) return refuse(400, "Transfer-Encoding is malformed");
        if (!equals_ignoring_case(name, "chunked"))
            unknown = true;
        else if (parameters == std::string_view::npos)
            chunked = true;
        else
            return refuse(400, "chunked has parameters");
    }
    if (unknown) return refuse(501, "a transfer coding other than chunked");
    return {};
}

}  // namespace

std::expected<DeclaredFraming, Refusal> read_framing(const Fields& fields, int minor) {
    DeclaredFraming framing;
    if (fields.has(FieldId::transfer_encoding)) {
        // §6.3, rule 3: the mark of request smuggling.
        if (fields.has(FieldId::content_length)) return refuse(400, "Transfer-Encoding and Content-Length");
        if (fields.count(FieldId::transfer_encoding) > 1)
            return refuse(400, "more than one Transfer-Encoding");
        if (minor == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
        if (const auto good = check_codings(fields.value(FieldId::transfer_encoding)); !good)
            return std::unexpected(good.error());
        framing.chunked = true;
    } else if (fields.has(FieldId::content_length)) {
        if (fields.count(FieldId::content_length) > 1) return refuse(400, "more than one Content-Length");
        const auto length = read_length(fields.value(FieldId::content_length));
        if (!length) return std::unexpected(length.error());
        framing.length = *length;
    }
    return framing;
}

}  // namespace sluice::http
