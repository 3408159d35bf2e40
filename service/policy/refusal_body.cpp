#include "service/policy/refusal_body.h"

#include <array>
#include <charconv>
#include <concepts>

#include "service/http/reply.h"
#include "service/http/writer.h"
#include "service/policy/listing.h"
#include "service/policy/rate_fields.h"

namespace sluice::policy {

namespace {

/// Counts what a Writer would write.
class Measure {
  public:
    Measure& operator<<(std::string_view text) {
        size_ += text.size();
        return *this;
    }
    Measure& operator<<(char) {
        ++size_;
        return *this;
    }
    Measure& operator<<(std::unsigned_integral auto number) {
        std::array<char, 24> digits;
        size_ += static_cast<std::size_t>(std::to_chars(digits.begin(), digits.end(), number).ptr -
                                          digits.begin());
        return *this;
    }
    std::size_t size() const { return size_; }

  private:
    std::size_t size_ = 0;
};

/// As the inside of a JSON string. The name of a limit is UTF-8, as the configuration is.
void write_json_text(std::string_view text, auto& to) {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            to << '\\' << c;
        else if (byte < 0x20)
            to << "\\u00" << kHex[byte >> 4] << kHex[byte & 15];
        else
            to << c;
    }
}

/// Why, to a human, and when to come back; `its_own`: that is a matter of this limit alone.
std::string_view detail(const Applied& refused, bool its_own) {
    if (is_never_admitted(refused))
        return R"(\" never admits as much as this request costs; ask for less in )";
    if (refused.limit->settings.algorithm == config::Algorithm::concurrency)
        return R"(\" has as many requests in flight as it admits; try again in )";
    return its_own ? R"(\" is used up; more is available in )" : R"(\" is used up; try again in )";
}

void write_problem(const Applied& refused, std::uint64_t retry_after, auto& to) {
    const config::Limit& limit = refused.limit->settings;
    to << R"({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":")"
       << http::reason_phrase(static_cast<int>(limit.status)) << R"(","status":)" << limit.status
       << R"(,"detail":"The limit \")";
    write_json_text(limit.name, to);
    to << detail(refused, retry_after == seconds_until_admitted(refused)) << retry_after
       << (retry_after == 1 ? " second" : " seconds") << R"(.","violated-policies":[")";
    write_json_text(limit.name, to);
    to << R"("],"retry_after":)" << retry_after << "}";
}

void write_text(const config::Limit& limit, std::uint64_t retry_after, auto& to) {
    to << http::reason_phrase(static_cast<int>(limit.status)) << ": try again in " << retry_after
       << (retry_after == 1 ? " second" : " seconds") << ".\n";
}

/// Braces around anything but the three names stay as they are: the body may well be JSON.
void write_custom(std::string_view form, const Applied& refused, std::uint64_t retry_after, auto& to) {
    while (!form.empty()) {
        const std::size_t brace = std::min(form.find('{'), form.size());
        to << form.substr(0, brace);
        form.remove_prefix(brace);
        const auto at = [&](std::string_view name) {
            if (!form.starts_with(name)) return false;
            form.remove_prefix(name.size());
            return true;
        };
        if (at("{limit}")) {
            to << std::string_view(refused.limit->settings.name);
        } else if (at("{retry_after}")) {
            to << retry_after;
        } else if (at("{key}")) {
            to << KeyText(*refused.limit, refused.key).view();
        } else if (!form.empty()) {
            to << '{';
            form.remove_prefix(1);
        }
    }
}

std::string_view content_type(const config::Response& response) {
    switch (response.format) {
        case config::BodyFormat::problem: return "application/problem+json";
        case config::BodyFormat::text: return "text/plain; charset=utf-8";
        case config::BodyFormat::custom: return response.content_type;
    }
    return {};
}

void write(const Verdict& verdict, const config::Response& response, auto& to) {
    const Applied& refused = *verdict.refused_by;
    const std::uint64_t retry_after = retry_after_seconds(verdict);
    switch (response.format) {
        case config::BodyFormat::problem: return write_problem(refused, retry_after, to);
        case config::BodyFormat::text: return write_text(refused.limit->settings, retry_after, to);
        case config::BodyFormat::custom: return write_custom(response.body, refused, retry_after, to);
    }
}

}  // namespace

RefusalBody write_refusal_body(const Verdict& verdict, const config::Response& response,
                               std::span<char> room) {
    http::Writer to(room);
    write(verdict, response, to);
    return {content_type(response), to.text()};
}

std::size_t refusal_body_size(const Verdict& verdict, const config::Response& response) {
    Measure to;
    write(verdict, response, to);
    return to.size();
}

}  // namespace sluice::policy
