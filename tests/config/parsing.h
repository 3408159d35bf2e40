#pragma once

// Parsing texts, and expecting mistakes where they stand.

#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "config/parse.h"

namespace sluice::config {

/// `{ "upstream": "a:1", <members> }`: the least that serves, and what a test is about.
inline std::string with(std::string_view members) {
    return "{ \"upstream\": \"a:1\", " + std::string(members) + " }";
}

/// One limit with these members.
inline std::string limit_with(std::string_view members) {
    return with("\"limits\": [ { " + std::string(members) + " } ]");
}

/// One upstream with a server and these members, and one route to it.
inline std::string upstream_with(std::string_view members) {
    return R"({ "upstreams": { "app": { "servers": [ "a:1" ], )" + std::string(members) +
           R"( } }, "routes": [ { "upstream": "app" } ] })";
}

inline std::string lines(const Errors& errors) {
    std::string out;
    for (const Error& error : errors) out += error.to_string() + "\n";
    return out;
}

/// The configuration of a text that has no mistakes.
inline Config good(std::string_view text, const Environment& environment = {}) {
    auto config = parse(text, "f", environment);
    if (config) return *std::move(config);
    ADD_FAILURE() << text << "\n" << lines(config.error());
    return {};
}

inline Errors errors_of(std::string_view text, const Environment& environment = {}) {
    auto config = parse(text, "f", environment);
    return config ? Errors{} : std::move(config).error();
}

inline Limit only_limit(std::string_view members) {
    const Config config = good(limit_with(members));
    return config.limits.empty() ? Limit{} : config.limits[0];
}

/// `marked` has an @ where its only mistake stands.
inline void expect_error(std::string marked, const std::string& pointer, const std::string& message,
                         const Environment& environment = {}) {
    const auto at = marked.find('@');
    ASSERT_NE(at, std::string::npos) << marked;
    marked.erase(at, 1);
    const std::string before = marked.substr(0, at);
    const auto line = static_cast<unsigned>(std::count(before.begin(), before.end(), '\n') + 1);
    const auto column = static_cast<unsigned>(at - (before.rfind('\n') + 1) + 1);
    const Errors expected{{"f", line, column, pointer, message}};
    const Errors seen = errors_of(marked, environment);
    EXPECT_EQ(lines(seen), lines(expected)) << marked;
}

}  // namespace sluice::config
