#pragma once

// How the choices of the model are written: in the file, in /stats, in logs.

#include <array>
#include <string_view>
#include <type_traits>

#include "config/model.h"

namespace sluice::config {

/// kNames<E>[i] is the name of the choice with the value i. AddressFrom::header and HostPolicy::literal have
/// none: any other text means them.
template <class Choice>
inline constexpr std::array<std::string_view, 0> kNames{};

template <>
inline constexpr std::array<std::string_view, 4> kNames<Balance>{"round_robin", "least_requests",
                                                                 "random_two", "ip_hash"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<HostPolicy>{"preserve", "upstream"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<AddressFrom>{"X-Forwarded-For", "Forwarded"};
template <>
inline constexpr std::array<std::string_view, 9> kNames<KeyKind>{
    "ip", "global", "host", "method", "path", "route", "header", "cookie", "query"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<Algorithm>{"token_bucket", "fixed_window",
                                                                   "sliding_window", "concurrency"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Mode>{"enforce", "shadow"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Action>{"reject", "delay"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Missing>{"ip", "skip"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<BodyFormat>{"problem", "text"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<RateHeaders>{"standard", "legacy", "both", "none"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<StoreError>{"local", "allow", "deny"};
template <>
inline constexpr std::array<std::string_view, 5> kNames<LogLevel>{"debug", "info", "warn", "error", "off"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<AccessLog>{"all", "limited", "off"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<LogFormat>{"json", "text"};

/// The name of a choice; empty for one that has none.
template <class Choice>
    requires std::is_enum_v<Choice>
constexpr std::string_view name_of(Choice choice) {
    const auto index = static_cast<std::size_t>(choice);
    return index < kNames<Choice>.size() ? kNames<Choice>[index] : std::string_view{};
}

/// A key as it is written: "ip", "header:X-Api-Key".
std::string to_string(const KeyPart& part);

}  // namespace sluice::config
