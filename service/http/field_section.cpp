#include "service/http/field_section.h"

#include <limits>

#include <boost/beast/http/basic_parser.hpp>

namespace sluice::http {

namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast::string_view;

std::string_view std_view(string_view text) {
    return {text.data(), text.size()};
}

// Collects the fields; everything that Beast concludes from them is ignored, for its conclusions are too
// lenient to go by: framing.cpp and validate.cpp draw ours.
class FieldCollector final : public beast::http::basic_parser<true> {
  public:
    explicit FieldCollector(Fields& into) : into_(into) {
        skip(true);
        header_limit(std::numeric_limits<std::uint32_t>::max());
    }

  private:
    void on_field_impl(beast::http::field, string_view name, string_view value, error_code& error) override {
        if (into_.full()) {
            error = beast::http::error::header_limit;
            return;
        }
        into_.add({std_view(name), std_view(value), identify(std_view(name))});
    }
    void on_request_impl(beast::http::verb, string_view, string_view, int, error_code&) override {}
    void on_response_impl(int, string_view, int, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override {
        return body.size();
    }
    void on_finish_impl(error_code&) override {}
    // Pure from Boost 1.88's Beast on, unknown to 1.81's; so it cannot say `override`.
    virtual void on_trailer_field_impl(beast::http::field, string_view, string_view, error_code&) {}

    Fields& into_;
};

// The start line is read elsewhere: Beast refuses HTTP/1.2 and a status line without a reason, and passes
// targets that no URI may have. It gets one that says nothing.
constexpr std::string_view kStartLine = "GET / HTTP/1.1\r\n";

Refusal refusal_of(error_code code) {
    using beast::http::error;
    if (code == error::bad_field) return {400, "a field name is not a token"};
    if (code == error::bad_value) return {400, "a field value holds a control character or a broken list"};
    if (code == error::bad_content_length) return {400, "Content-Length is not one decimal number"};
    if (code == error::multiple_content_length) return {400, "Content-Length more than once"};
    if (code == error::bad_transfer_encoding) return {400, "Transfer-Encoding twice, or with Content-Length"};
    if (code == error::header_limit) return {431, "the head has more fields than max.headers"};
    return {400, "a field line is malformed"};
}

}  // namespace

std::expected<void, Refusal> read_fields(std::string_view section, Fields& into) {
    FieldCollector parser(into);
    error_code error;
    parser.put({kStartLine.data(), kStartLine.size()}, error);
    const std::size_t taken = parser.put({section.data(), section.size()}, error);
    if (error) return std::unexpected(refusal_of(error));
    if (taken != section.size()) return std::unexpected(Refusal{400, "a field line is malformed"});
    return {};
}

}  // namespace sluice::http
