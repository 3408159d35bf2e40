#pragma once

// What clients find at one address.

#include <memory>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "service/tls/acceptor.h"

namespace sluice::proxy {

/// Immutable.
class Entrances {
  public:
    /// `acceptor`: of as many entries; null: in the clear.
    Entrances(std::vector<config::Listen> entries, std::shared_ptr<const tls::Acceptor> acceptor);

    /// The entries of `listen` with this address, in their order: one; or several under TLS, where the name
    /// that a client asks for decides whose certificate it gets, and by which of them its requests come in.
    const std::vector<config::Listen>& entries() const { return entries_; }
    const tls::Acceptor* acceptor() const { return acceptor_.get(); }

    /// Whether a request that has come in by `entry` is for a host of another, which would have asked the
    /// client for a certificate that `entry` did not ask for.
    bool misdirected(const config::Listen& entry, std::string_view host) const {
        return differ_in_trust_ && evades(entry, host);
    }

  private:
    bool evades(const config::Listen& entry, std::string_view host) const;

    const std::vector<config::Listen> entries_;
    const std::shared_ptr<const tls::Acceptor> acceptor_;
    const bool differ_in_trust_;
};

}  // namespace sluice::proxy
