#pragma once

// Who the client of a request is: the peer, or, behind proxies that the configuration trusts, the rightmost
// address of X-Forwarded-For that is not one of theirs. A forwarding field from anyone else is not believed.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "runtime/tcp.h"
#include "service/http/head.h"
#include "service/limit/client_key.h"

namespace sluice::policy {

using limit::Address;

/// The address of a connected peer; the unspecified address for one on a Unix socket.
Address address_of(const runtime::Endpoint& peer);

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

Client identify(const Networks& trusted, const Address& peer, const http::Fields& fields);

}  // namespace sluice::policy
