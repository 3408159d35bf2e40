// Any target and any Host, separated by a line end: an accepted request goes to one host that has nothing but
// a host in it, and for a path in which nothing is hidden.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "service/http/read_head.h"

namespace {

using namespace sluice::http;

void require(bool holds) {
    if (!holds) std::abort();
}

bool is_one_of(char c, std::string_view set) {
    return set.find(c) != std::string_view::npos;
}

constexpr std::string_view kHostChars =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~[:]";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    const std::size_t end = input.find('\n');
    if (end == std::string::npos) return 0;
    const std::string target = input.substr(0, end);
    const std::string host = input.substr(end + 1);
    if (host.find('\r') != std::string::npos || host.find('\n') != std::string::npos) return 0;
    const std::string bytes =
        (size % 2 ? "GET " : "OPTIONS ") + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";

    HeadScan scan;
    RequestHead head;
    const auto read = read_request_head(bytes, scan, {.bytes = 1 << 20}, head);
    if (!read) return 0;
    require(*read == bytes.size());
    require(head.target == target);
    require(!head.host.empty() && head.authority.starts_with(head.host));
    require(std::ranges::all_of(head.authority, [](char c) { return is_one_of(c, kHostChars); }));
    require(head.path == "*" || head.path.starts_with('/'));
    require(std::ranges::all_of(head.origin, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; }));
    require(target.ends_with(head.origin) || head.origin == "*");
    return 0;
}
