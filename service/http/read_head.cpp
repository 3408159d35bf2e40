#include "service/http/read_head.h"

#include "service/http/field_section.h"
#include "service/http/start_line.h"
#include "service/http/validate.h"

namespace sluice::http {

namespace {

// The two parts of a complete head, the empty lines before it cut off.
struct Parts {
    std::string_view start_line;
    std::string_view fields;
};

Parts split(std::string_view head) {
    const std::size_t end = head.find("\r\n");
    return {head.substr(0, end), head.substr(end + 2)};
}

// max.head and max.headers are of requests: who reads of them would turn them up, and nothing would change.
Refusal of_an_answer(const Refusal& refusal) {
    if (refusal.status != 431) return refusal;
    return {502, "the head of the answer is too long, or has too many fields"};
}

}  // namespace

std::expected<std::size_t, Refusal> read_request_head(std::string_view bytes, HeadScan& scan,
                                                      const HeadLimits& limits, RequestHead& head) {
    const auto size = scan.find_end(bytes, limits);
    if (!size || *size == 0) return size;
    const Parts parts = split(bytes.substr(scan.start(), *size - scan.start()));
    auto good = read_request_line(parts.start_line, head);
    if (good) good = read_fields(parts.fields, head.fields);
    if (good) good = validate(head);
    if (!good) return std::unexpected(good.error());
    if (head.framing.length > limits.body)
        return std::unexpected(Refusal{413, "the body is longer than max.body"});
    return size;
}

std::expected<std::size_t, Refusal> read_response_head(std::string_view bytes, HeadScan& scan,
                                                       const HeadLimits& limits, Method method,
                                                       ResponseHead& head) {
    // Only before a request are empty lines skipped (RFC 9112 §2.2).
    if (bytes.starts_with('\r') || bytes.starts_with('\n')) {
        return std::unexpected(Refusal{502, "an empty line in the place of a status line"});
    }
    const auto size = scan.find_end(bytes, limits);
    if (!size) return std::unexpected(of_an_answer(size.error()));
    if (*size == 0) return size;
    const Parts parts = split(bytes.substr(scan.start(), *size - scan.start()));
    auto good = read_status_line(parts.start_line, head);
    if (good) good = read_fields(parts.fields, head.fields);
    if (good) good = validate(head, method);
    if (!good) return std::unexpected(of_an_answer(good.error()));
    return size;
}

}  // namespace sluice::http
