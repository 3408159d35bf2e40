#include "service/policy/identify.h"

#include <algorithm>

#include <boost/asio/generic/stream_protocol.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include "service/http/hop_by_hop.h"
#include "service/http/text.h"
#include "service/policy/forwarded.h"

namespace sluice::policy {

namespace {

/// Nothing, or a colon and the digits of a port.
bool is_port(std::string_view text) {
    return text.empty() || (text.starts_with(':') && text.size() >= 2 && text.size() <= 6 &&
                            std::all_of(text.begin() + 1, text.end(), http::is_digit));
}

/// The one address that a field of that name gives.
bool parse_single(const http::Fields& fields, std::string_view name, Address& address) {
    const http::Field* found = nullptr;
    for (const http::Field& field : fields) {
        if (!http::equals_ignoring_case(field.name, name)) continue;
        if (found) return false;
        found = &field;
    }
    return found && parse_forwarded_address(found->value, address);
}

/// An address with or without brackets and port.
bool parse_node(std::string_view element, Address& address) {
    if (element.starts_with('[')) {
        const std::size_t end = std::min(element.find(']'), element.size());
        const std::string_view inside = element.substr(1, end - 1);
        return end < element.size() && inside.contains(':') && is_port(element.substr(end + 1)) &&
               limit::parse_address(inside, address);
    }
    const std::size_t colon = std::min(element.find(':'), element.size());
    if (element.substr(colon).find(':', 1) != std::string_view::npos)
        return limit::parse_address(element, address);
    return is_port(element.substr(colon)) && limit::parse_address(element.substr(0, colon), address);
}

}  // namespace

bool parse_forwarded_address(std::string_view element, Address& address) {
    return parse_node(element, address) && address != kNoAddress;
}

Address address_of(const runtime::Endpoint& peer) {
    Address address{};
    const auto* raw = reinterpret_cast<const sockaddr*>(peer.data());
    if (raw->sa_family == AF_INET) {
        address[10] = address[11] = 0xff;
        std::memcpy(address.data() + 12, &reinterpret_cast<const sockaddr_in*>(raw)->sin_addr, 4);
    } else if (raw->sa_family == AF_INET6) {
        std::memcpy(address.data(), &reinterpret_cast<const sockaddr_in6*>(raw)->sin6_addr, 16);
    }
    return address;
}

bool Networks::contain(const Address& address) const {
    return address != kNoAddress &&
           std::ranges::any_of(blocks_, [&](const config::Cidr& block) { return block.contains(address); });
}

Identifier::Identifier(const config::Client& settings)
    : trusted_(settings.trusted_proxies),
      trust_unix_(settings.trust_unix),
      from_(settings.address_from),
      field_(settings.address_header),
      own_field_(from_ == config::AddressFrom::header &&
                         !http::kForwarding.contains(http::identify(settings.address_header))
                     ? settings.address_header
                     : "") {}

Client Identifier::identify(const Address& peer, const http::Fields& fields) const {
    const bool trusted = peer == kNoAddress ? trust_unix_ : !trusted_.empty() && trusted_.contain(peer);
    if (trusted) return identify_behind(peer, fields);
    Client client{.address = peer};
    client.ignored_fields = fields.has(http::FieldId::x_forwarded_for) ||
                            fields.has(http::FieldId::forwarded) ||
                            (from_ == config::AddressFrom::header && fields.find(field_) != nullptr);
    return client;
}

Client Identifier::identify_behind(const Address& peer, const http::Fields& fields) const {
    return read(from_, field_, peer, fields);
}

Client Identifier::identify_for(const Address& peer, const http::Fields& fields) const {
    using From = config::AddressFrom;
    const auto has = [&](std::string_view name) { return fields.find(name) != nullptr; };
    if (!has(field_)) {
        if (has("X-Forwarded-For")) return read(From::x_forwarded_for, "X-Forwarded-For", peer, fields);
        for (const std::string_view name : {"X-Original-For", "X-Real-IP"})
            if (has(name)) return read(From::header, name, peer, fields);
    }
    return identify_behind(peer, fields);
}

Client Identifier::read(config::AddressFrom from, std::string_view name, const Address& peer,
                        const http::Fields& fields) const {
    Client client{.address = peer, .peer_trusted = true};
    Address hop;
    if (from == config::AddressFrom::header) {
        if (parse_single(fields, name, hop)) client.address = hop;
        return client;
    }
    const bool forwarded = from == config::AddressFrom::forwarded;
    const http::FieldId id = forwarded ? http::FieldId::forwarded : http::FieldId::x_forwarded_for;
    if (!fields.has(id)) return client;
    ElementsFromTheRight elements(fields, id, forwarded);
    while (const auto element = elements.next()) {
        if (element->empty()) continue;  // RFC 9110 §5.6.1.2: a list may have such
        const bool known =
            forwarded ? parse_forwarded_element(*element, hop) : parse_forwarded_address(*element, hop);
        if (!known) break;  // whoever passed it on is the last we know
        client.address = hop;
        if (!trusts(hop)) break;
    }
    return client;
}

}  // namespace sluice::policy
