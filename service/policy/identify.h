#pragma once

// Who the client of a request is: the peer, or, behind proxies that the configuration trusts, whom the field
// of client.address_from names. Such a field from anyone else is not believed.

#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "runtime/tcp.h"
#include "service/http/head.h"
#include "service/limit/client_key.h"

namespace sluice::policy {

using limit::Address;

/// A peer that has no address: it came by a Unix socket. No peer has this one over TCP. It is in no block of
/// addresses, not even in ::/0.
inline constexpr Address kNoAddress{};
/// How it is written.
inline constexpr std::string_view kUnixText = "unix:";

/// The address of a connected peer; kNoAddress for one on a Unix socket.
Address address_of(const runtime::Endpoint& peer);

/// An address as proxies write it into fields: IPV4, IPV4:PORT, IPV6, [IPV6] or [IPV6]:PORT.
bool parse_forwarded_address(std::string_view text, Address& address);

struct Client {
    Address address{};            // the client
    bool peer_trusted = false;    // whether the peer is a trusted proxy, whose forwarding fields are kept
    bool ignored_fields = false;  // the peer is not, and sent forwarding fields nevertheless
};

/// The blocks of addresses of one list of the configuration.
class Networks {
  public:
    explicit Networks(std::vector<config::Cidr> blocks) : blocks_(std::move(blocks)) {}
    bool contain(const Address& address) const;
    bool empty() const { return blocks_.empty(); }

  private:
    std::vector<config::Cidr> blocks_;
};

/// The section `client` of a configuration: whom to believe, and which field. Immutable; allocates nothing
/// once made.
class Identifier {
  public:
    explicit Identifier(const config::Client& settings);

    /// The client of a request that came from `peer` with these fields:
    ///  - X-Forwarded-For and Forwarded (RFC 7239) list the hops, over all their lines, the nearest last: the
    ///    client is the rightmost that is not trusted itself. What names no address there (garbage,
    ///    `unknown`, `_hidden`) hides whatever is to its left: the hop that passed it on is the client
    ///  - any other field holds one address, which is the client; on several lines, or as anything else, it
    ///    says nothing, and the peer is the client
    Client identify(const Address& peer, const http::Fields& fields) const;
    /// The same for a peer that is a trusted proxy by the way it came, whatever its address.
    Client identify_behind(const Address& peer, const http::Fields& fields) const;

    /// The same for a peer that holds a request of somebody else's and asks about it: where the field is not
    /// there, X-Forwarded-For counts, then X-Original-For and X-Real-IP.
    Client identify_for(const Address& peer, const http::Fields& fields) const;

    /// A field of the operator's own that names the client: nobody but a trusted peer may send it on. Empty:
    /// the field is one of those that http::kForwarding knows.
    std::string_view own_field() const { return own_field_; }
    /// The field that is believed, as the configuration spells it.
    std::string_view field() const { return field_; }

  private:
    Client read(config::AddressFrom from, std::string_view name, const Address& peer,
                const http::Fields& fields) const;
    bool trusts(const Address& hop) const { return hop != kNoAddress && trusted_.contain(hop); }

    const Networks trusted_;
    const bool trust_unix_;
    const config::AddressFrom from_;
    const std::string field_;
    const std::string own_field_;
};

}  // namespace sluice::policy
