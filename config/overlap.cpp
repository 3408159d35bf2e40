#include "config/overlap.h"

#include <algorithm>

#include "config/cidr.h"
#include "config/quote.h"

namespace sluice::config {
namespace {

// 0.0.0.0/0.
constexpr Cidr kEveryV4{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0}, 96};

// Of one that is listened on: the address, IPv4 mapped into IPv6.
std::optional<Cidr> ip(const Address& address) {
    if (!address.unix_path.empty() || address.port == 0) return std::nullopt;
    const auto parsed = parse_cidr(address.host);
    return parsed ? std::optional(*parsed) : std::nullopt;
}

bool is_any(const Cidr& address) {
    return address.address == Cidr{}.address;
}

bool is_any_v4(const Cidr& address) {
    return address.address == kEveryV4.address;
}

bool covers(const Cidr& all, const Cidr& one) {
    return is_any(all) || (is_any_v4(all) && kEveryV4.contains(one.address));
}

}  // namespace

std::optional<std::string> place(const Address& address) {
    if (!address.unix_path.empty()) return address.unix_path;
    const auto block = ip(address);
    return block ? std::optional(block->to_string() + ' ' + std::to_string(address.port)) : std::nullopt;
}

bool same_place(const Address& a, const Address& b) {
    const auto here = place(a);
    return here && here == place(b);
}

bool is_all(const Address& address) {
    const auto block = ip(address);
    return block && (is_any(*block) || is_any_v4(*block));
}

bool overlap(const Address& a, const Address& b) {
    const auto one = ip(a), other = ip(b);
    return one && other && a.port == b.port && *one != *other &&
           (covers(*one, *other) || covers(*other, *one));
}

bool shares_check(const Config& config) {
    return std::ranges::any_of(config.listen, &Listen::reuse_port);
}

std::string overlap_complaint(const Address& mine, const Address& other, const std::string& where) {
    const auto one = ip(mine), second = ip(other);
    const bool mine_is_all = one && second && covers(*one, *second);
    const bool every_family = (one && is_any(*one)) || (second && is_any(*second));
    return quote(mine.text) + " cannot be listened on beside " + quote(other.text) + " of " + where + ": " +
           quote(mine_is_all ? mine.text : other.text) + " is every " + (every_family ? "" : "IPv4 ") +
           "address at that port" + (every_family ? ", IPv4 too" : "") +
           " (keep one of the two, or take another port)";
}

}  // namespace sluice::config
