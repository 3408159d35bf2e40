#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::fuzz {

/// A byte that says how the bytes are cut, the client's bytes, and behind each kMark what one connection of
/// the upstream's answers.
struct Input {
    std::uint8_t how = 0;
    std::string request;
    std::vector<std::string> answers;

    std::size_t step() const { return std::array<std::size_t, 4>{1 << 20, 1, 7, 100}[how & 3]; }
    std::size_t answer_step() const { return std::array<std::size_t, 4>{1 << 20, 1, 9, 500}[how >> 2 & 3]; }
    bool half_closes() const { return (how & 16) != 0; }      // the client, behind its last byte
    bool answers_at_once() const { return (how & 32) != 0; }  // the upstream, before the request is whole
    bool upstream_resets() const { return (how & 64) != 0; }  // behind its last byte
    bool reads_late() const { return (how & 128) != 0; }      // the client, when the proxy has given up on it
};

inline constexpr std::string_view kMark = "\n<<<\n";

inline Input split(const std::uint8_t* data, std::size_t size) {
    Input input;
    input.how = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::size_t mark = rest.find(kMark);
    input.request = rest.substr(0, mark);
    while (mark != rest.npos && input.answers.size() < 8) {
        rest.remove_prefix(mark + kMark.size());
        mark = rest.find(kMark);
        input.answers.emplace_back(rest.substr(0, mark));
    }
    return input;
}

}  // namespace sluice::fuzz
