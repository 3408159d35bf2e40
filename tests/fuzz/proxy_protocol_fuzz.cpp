// A PROXY header however it comes: read in any pieces it is the same header, or the same refusal; it never
// claims more bytes than there are, nor more than it may have; and what is behind it changes nothing.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "service/http/proxy_header.h"

namespace {

using namespace sluice::http;

void require(bool holds) {
    if (!holds) std::abort();
}

bool same(const ProxyHeader& a, const ProxyHeader& b) {
    return a.size == b.size && a.source == b.source && a.address == b.address;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const auto all = read_proxy_header(input);
    const std::size_t end = all && all->size > 0 ? all->size : size;
    require(end <= size && (!all || all->size <= kProxyHeaderMax));
    if (all && all->size == 0) require(size < kProxyHeaderMax);
    for (std::size_t n = 0; n < std::min<std::size_t>(end, 256); ++n) {
        const auto part = read_proxy_header(input.substr(0, n));
        if (all) require(part && part->size == 0);  // no byte but the last completes it
        if (!part) require(!all);                   // a refusal is final
    }
    if (all && all->size > 0) {
        require(same(*all, *read_proxy_header(input.substr(0, end))));
        const std::string with_more = std::string(input.substr(0, end)) + "\r\nGET / HTTP/1.1";
        require(same(*all, *read_proxy_header(with_more)));
        // Version 1 is a line, and says no address but in a usual text.
        if (input.front() == 'P') require(end <= 107 && input.substr(end - 2, 2) == "\r\n");
        if (all->source != ProxyHeader::Source::address) require(all->address == ProxyHeader{}.address);
    }
    return 0;
}
