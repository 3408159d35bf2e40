#include "service/proxy/entrances.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::proxy {

namespace {

// Whose certificates it asks clients for; empty: it asks for none.
std::string_view asks_for(const config::Listen& entry) {
    return entry.tls ? std::string_view(entry.tls->client_ca) : std::string_view();
}

}  // namespace

Entrances::Entrances(std::vector<config::Listen> entries, std::shared_ptr<const tls::Acceptor> acceptor)
    : entries_(std::move(entries)),
      acceptor_(std::move(acceptor)),
      differ_in_trust_(std::ranges::any_of(entries_, [&](const config::Listen& entry) {
          return asks_for(entry) != asks_for(entries_.front());
      })) {}

bool Entrances::evades(const config::Listen& entry, std::string_view host) const {
    const std::string_view needed = asks_for(entries_[acceptor_->entry_of(host)]);
    return !needed.empty() && needed != asks_for(entry);
}

}  // namespace sluice::proxy
