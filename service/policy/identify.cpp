#include "service/policy/identify.h"

#include <algorithm>
#include <array>

#include <boost/asio/generic/stream_protocol.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include "service/http/text.h"

namespace sluice::policy {

namespace {

/// X-Forwarded-For's elements, the last first, over all lines: the nearest hop wrote the last.
class FromTheRight {
  public:
    explicit FromTheRight(const http::Fields& fields) : fields_(fields), line_(fields.end()) {}

    std::optional<std::string_view> next() {
        while (!more_) {
            do {
                if (line_ == fields_.begin()) return std::nullopt;
                --line_;
            } while (line_->id != http::FieldId::x_forwarded_for);
            rest_ = line_->value;
            more_ = true;
        }
        const std::size_t comma = rest_.rfind(',');
        const std::string_view element = comma == std::string_view::npos ? rest_ : rest_.substr(comma + 1);
        more_ = comma != std::string_view::npos;
        rest_ = rest_.substr(0, more_ ? comma : 0);
        return http::trimmed(element);
    }

  private:
    const http::Fields& fields_;
    const http::Field* line_;
    std::string_view rest_;
    bool more_ = false;
};

/// Nothing, or a colon and the digits of a port.
bool is_port(std::string_view text) {
    return text.empty() || (text.starts_with(':') && text.size() >= 2 && text.size() <= 6 &&
                            std::all_of(text.begin() + 1, text.end(), http::is_digit));
}

/// An element as proxies write it: IPV4, IPV4:PORT, IPV6, [IPV6] or [IPV6]:PORT.
bool parse_element(std::string_view element, Address& address) {
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
    return std::ranges::any_of(blocks_, [&](const config::Cidr& block) { return block.contains(address); });
}

Client identify(const Networks& trusted, const Address& peer, const http::Fields& fields) {
    Client client{.address = peer};
    if (trusted.empty() || !trusted.contain(peer)) {
        client.ignored_fields =
            fields.has(http::FieldId::x_forwarded_for) || fields.has(http::FieldId::forwarded);
        return client;
    }
    client.peer_trusted = true;
    FromTheRight elements(fields);
    while (const auto element = elements.next()) {
        if (element->empty()) continue;  // RFC 9110 §5.6.1.2: a list may have such
        Address hop;
        if (!parse_element(*element, hop)) break;  // garbage: whoever passed it on is the last we know
        client.address = hop;
        if (!trusted.contain(hop)) break;
    }
    return client;
}

}  // namespace sluice::policy
