// Any X-Forwarded-For lines from a trusted peer, one for each line of the input: the client is the peer, or
// an address that stands in the lines, and nothing to the right of it is an address that is not trusted. Read
// from the left here.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

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

const policy::Networks kTrusted({{address("10.0.0.0"), 96 + 8}, {address("fd00::"), 8}});

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    http::Fields fields;
    std::vector<std::string_view> elements;
    for (const std::string_view line : split(input, '\n')) {
        if (fields.full()) return 0;
        const std::string_view value = trimmed(line);
        fields.add({"X-Forwarded-For", value, http::FieldId::x_forwarded_for});
        for (const std::string_view element : split(value, ',')) elements.push_back(trimmed(element));
    }

    const Address peer = address("10.1.2.3");
    const policy::Client client = policy::identify(kTrusted, peer, fields);
    require(client.peer_trusted && !client.ignored_fields);
    if (client.address == peer && !may_be(elements.back(), peer)) return 0;

    std::size_t at = elements.size();
    while (at > 0 && !may_be(elements[at - 1], client.address)) --at;
    require(at > 0 || client.address == peer);
    for (std::size_t right = at; right < elements.size(); ++right) {
        Address hop;
        if (limit::parse_address(elements[right], hop)) require(kTrusted.contain(hop));
    }

    const policy::Client untrusted = policy::identify(kTrusted, address("192.0.2.1"), fields);
    require(untrusted.address == address("192.0.2.1") && untrusted.ignored_fields);
    return 0;
}
