#pragma once

// What clients find at one address.

#include <memory>
#include <vector>

#include "config/model.h"
#include "service/tls/acceptor.h"

namespace sluice::proxy {

struct Entrances {
    /// The entries of `listen` with this address, in their order: one; or several under TLS, where the name
    /// that a client asks for decides whose certificate it gets, and by which of them its requests come in.
    std::vector<config::Listen> entries;
    std::shared_ptr<const tls::Acceptor> acceptor;  // of as many entries; null: in the clear
};

}  // namespace sluice::proxy
