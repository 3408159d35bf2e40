#pragma once

// A field section as Boost.Beast's parser reads it: the second opinion on ours.

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/beast/http/basic_parser.hpp>

namespace sluice::http::test {

using NamesAndValues = std::vector<std::pair<std::string, std::string>>;

class BeastFields final : public boost::beast::http::basic_parser<true> {
  public:
    /// nullopt: Beast refuses the section.
    static std::optional<NamesAndValues> read(std::string_view section) {
        static constexpr std::string_view kStartLine = "GET / HTTP/1.1\r\n";
        BeastFields parser;
        boost::beast::error_code error;
        parser.put({kStartLine.data(), kStartLine.size()}, error);
        const std::size_t taken = parser.put({section.data(), section.size()}, error);
        if (error || taken != section.size()) return std::nullopt;
        return std::move(parser.fields_);
    }

  private:
    using string_view = boost::beast::string_view;
    using error_code = boost::beast::error_code;
    using field = boost::beast::http::field;

    BeastFields() {
        skip(true);
        header_limit(std::numeric_limits<std::uint32_t>::max());
    }
    void on_field_impl(field, string_view name, string_view value, error_code&) override {
        fields_.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
    }
    void on_request_impl(boost::beast::http::verb, string_view, string_view, int, error_code&) override {}
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
    virtual void on_trailer_field_impl(field, string_view, string_view, error_code&) {}

    NamesAndValues fields_;
};

}  // namespace sluice::http::test
