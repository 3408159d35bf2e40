#include "service/tls/ticket_keys.h"

#include <cstring>

#include <openssl/rand.h>

namespace sluice::tls {

std::optional<TicketKey> TicketKeys::current(runtime::Time now) {
    const std::scoped_lock hold(lock_);
    if (!keys_[0] || now - keys_[0]->made >= kLife) {
        Dated fresh{{}, now};
        if (RAND_bytes(fresh.key.name.data(), fresh.key.name.size()) != 1 ||
            RAND_priv_bytes(fresh.key.cipher.data(), fresh.key.cipher.size()) != 1 ||
            RAND_priv_bytes(fresh.key.mac.data(), fresh.key.mac.size()) != 1) {
            return std::nullopt;
        }
        keys_[1] = keys_[0];
        keys_[0] = fresh;
    }
    return keys_[0]->key;
}

std::optional<TicketKeys::Found> TicketKeys::find(const unsigned char* name, runtime::Time now) {
    const std::scoped_lock hold(lock_);
    for (const auto& each : keys_) {
        if (!each || std::memcmp(each->key.name.data(), name, each->key.name.size()) != 0) continue;
        const runtime::Duration age = now - each->made;
        if (age < 2 * kLife) return Found{each->key, age < kLife};
    }
    return std::nullopt;
}

}  // namespace sluice::tls
