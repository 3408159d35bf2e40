// Who the client is, from any lines of the fields that say it, one for each line of the input; all read from
// a trusted peer, and none from anyone else.
//  - X-Forwarded-For: the client is the peer, or an address that stands in the lines, and nothing to the
//    right of it is an address that is not trusted. Read from the left here
//  - Forwarded: the same as a reader from the left finds, wherever that one can read the lines; and whatever
//    the lines are, what a proxy appends to them is seen
//  - any other field: one line, one address, or the peer

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/http/text.h"
#include "service/policy/identify.h"

namespace {

using namespace sluice;
using policy::Address;

void require(bool holds) {
    if (!holds) std::abort();
}

Address address(std::string_view text) {
    Address address{};
    require(limit::parse_address(text, address));
    return address;
}

const std::vector<config::Cidr> kBlocks = {{address("10.0.0.0"), 96 + 8}, {address("fd00::"), 8}};
const policy::Networks kTrusted(kBlocks);

policy::Identifier identifier(config::AddressFrom from, std::string name) {
    return policy::Identifier(
        config::Client{.trusted_proxies = kBlocks, .address_from = from, .address_header = std::move(name)});
}
const policy::Identifier kByList = identifier(config::AddressFrom::x_forwarded_for, "X-Forwarded-For");
const policy::Identifier kByForwarded = identifier(config::AddressFrom::forwarded, "Forwarded");
const policy::Identifier kByHeader = identifier(config::AddressFrom::header, "X-Real-IP");

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(by);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

/// Whether the element could be that address: as it is, in brackets, or before a port.
bool may_be(std::string_view element, const Address& client) {
    std::vector<std::string_view> readings = {element, element.substr(0, element.rfind(':'))};
    if (element.starts_with('[')) readings.push_back(element.substr(1, element.find(']') - 1));
    for (const std::string_view reading : readings) {
        Address parsed;
        if (limit::parse_address(reading, parsed) && parsed == client) return true;
    }
    return false;
}

using Lines = std::vector<std::string_view>;

http::Fields fields_of(std::string_view name, const Lines& lines) {
    http::Fields fields;
    for (const std::string_view line : lines) fields.add({name, trimmed(line), http::identify(name)});
    return fields;
}

// None of these fields is believed from just anyone, whoever it names.
Address client_of(const policy::Identifier& by, const Address& peer, const http::Fields& fields) {
    const Address stranger = address("192.0.2.1");
    const policy::Client untrusted = by.identify(stranger, fields);
    require(untrusted.address == stranger && !untrusted.peer_trusted);
    require(untrusted.ignored_fields == (fields.size() > 0));
    const policy::Client client = by.identify(peer, fields);
    require(client.peer_trusted && !client.ignored_fields);
    return client.address;
}

void check_list(const Lines& lines, const Address& peer) {
    Lines elements;
    for (const std::string_view line : lines)
        for (const std::string_view element : split(trimmed(line), ',')) elements.push_back(trimmed(element));
    const Address client = client_of(kByList, peer, fields_of("X-Forwarded-For", lines));
    if (client == peer && !may_be(elements.back(), peer)) return;
    std::size_t at = elements.size();
    while (at > 0 && !may_be(elements[at - 1], client)) --at;
    require(at > 0 || client == peer);
    for (std::size_t right = at; right < elements.size(); ++right) {
        Address hop;
        if (limit::parse_address(elements[right], hop)) require(kTrusted.contain(hop));
    }
}

/// Reads lines of Forwarded from the left, as RFC 7239 writes them.
class FromTheLeft {
  public:
    /// False: this is none, or holds what it does not judge.
    bool read(std::string_view line) {
        rest_ = trimmed(line);
        for (;;) {
            if (!rest_.empty() && rest_.front() != ',' && !element()) return false;
            if (rest_.empty()) return true;
            rest_ = trimmed(rest_.substr(1));
        }
    }
    Address client(const Address& peer) const {
        Address last = peer;
        for (auto hop = hops_.rbegin(); hop != hops_.rend() && *hop; ++hop) {
            last = **hop;
            if (!kTrusted.contain(last)) break;
        }
        return last;
    }

  private:
    bool element() {
        std::vector<std::string> nodes;
        while (!rest_.empty() && rest_.front() != ',') {
            if (rest_.front() == ';') {
                rest_ = trimmed(rest_.substr(1));
                continue;
            }
            std::string name, value;
            while (!rest_.empty() && http::is_token_char(rest_.front())) name += take();
            if (name.empty() || rest_.empty() || take() != '=' || !read_value(value)) return false;
            rest_ = trimmed(rest_);
            if (!rest_.empty() && rest_.front() != ',' && rest_.front() != ';') return false;
            if (http::equals_ignoring_case(name, "for")) nodes.push_back(value);
        }
        Address hop;
        hops_.emplace_back();
        if (nodes.size() != 1) return true;
        std::string node = nodes[0];
        const std::size_t hidden = node.rfind(":_");
        if (hidden != node.npos && hidden + 2 < node.size() &&
            node.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                                   hidden + 2) == node.npos)
            node.resize(hidden);
        if (node.size() < 80 && policy::parse_forwarded_address(node, hop)) hops_.back() = hop;
        return true;
    }
    bool read_value(std::string& value) {
        if (rest_.empty() || rest_.front() != '"') {
            while (!rest_.empty() &&
                   (http::is_token_char(rest_.front()) || std::string_view(":[]").contains(rest_.front())))
                value += take();
            return !value.empty();
        }
        take();
        while (!rest_.empty()) {
            char c = take();
            if (c == '"') return true;
            if (c == '\\') {
                if (rest_.empty()) return false;
                c = take();
            }
            value += c;
        }
        return false;
    }
    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    std::string_view rest_;
    std::vector<std::optional<Address>> hops_;
};

void check_forwarded(const Lines& lines, const Address& peer) {
    const Address client = client_of(kByForwarded, peer, fields_of("Forwarded", lines));
    FromTheLeft reader;
    bool readable = true;
    for (const std::string_view line : lines) readable = readable && reader.read(line);
    if (readable) require(client == reader.client(peer));

    const std::string appended =
        std::string(trimmed(lines.back())) + ", for=\"[2001:db8::7]:80\";host=\"\\\"\", for=10.9.9.9";
    Lines longer = lines;
    longer.back() = appended;
    require(client_of(kByForwarded, peer, fields_of("Forwarded", longer)) == address("2001:db8::7"));
}

void check_header(const Lines& lines, const Address& peer) {
    const Address client = client_of(kByHeader, peer, fields_of("X-Real-IP", lines));
    require(client == peer || (lines.size() == 1 && may_be(trimmed(lines[0]), client)));
    Address plain;
    if (lines.size() == 1 && limit::parse_address(trimmed(lines[0]), plain))
        require(client == (plain == policy::kNoAddress ? peer : plain));
    require(client != policy::kNoAddress);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    const Lines lines = split(input, '\n');
    if (lines.size() >= http::Fields::kMax) return 0;
    const Address peer = address("10.1.2.3");
    check_list(lines, peer);
    check_forwarded(lines, peer);
    check_header(lines, peer);
    return 0;
}
