#include "service/proxy/stamps.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <string_view>

#include <time.h>

#include "service/http/date.h"

namespace sluice::proxy {

namespace {

// Of the thread, since formatting is worth remembering: taken and left within one call, never across a park.
[[gnu::noinline]] void copy_date(std::array<char, 29>& to) {
    thread_local http::DateText text;
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    const std::string_view now = text.at(std::chrono::sys_seconds(std::chrono::seconds(time.tv_sec)));
    std::copy_n(now.data(), to.size(), to.data());
}

struct Ids {
    std::uint64_t high;
    std::uint64_t low;
};

// A random stream for each thread, and a step of it for each id (SplitMix64, Steele et al.): all 2^64 differ.
[[gnu::noinline]] Ids next_ids() {
    thread_local const std::uint64_t stream =
        std::uint64_t{std::random_device()()} << 32 | std::random_device()();
    thread_local std::uint64_t step = stream;
    std::uint64_t z = step += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return {stream, z ^ z >> 31};
}

// Of each byte the two digits.
constexpr auto kHex = [] {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> table{};
    for (unsigned byte = 0; byte < table.size(); ++byte)
        table[byte] = {kDigits[byte >> 4], kDigits[byte & 15]};
    return table;
}();

void write_hex(std::uint64_t value, char* to) {
    for (int i = 7; i >= 0; --i, value >>= 8) std::copy_n(kHex[value & 255].data(), 2, to + 2 * i);
}

}  // namespace

DateNow::DateNow() {
    copy_date(room_);
}

RequestId::RequestId() {
    const Ids ids = next_ids();
    write_hex(ids.high, room_.data());
    write_hex(ids.low, room_.data() + 16);
}

}  // namespace sluice::proxy
