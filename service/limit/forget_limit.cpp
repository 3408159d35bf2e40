// A limit's number becomes free: the table, its shared buckets and the bans lose all that they know under it.

#include <vector>

#include "service/limit/client_shard.h"
#include "service/limit/client_table.h"
#include "service/limit/rule_book.h"
#include "service/limit/shared_buckets.h"

namespace sluice::limit {

// From copies, as in each(): no lock is held for longer than it takes to copy a shard.
void ClientTable::forget(LimitId limit) {
    std::vector<ClientEntry> copy;
    for (std::size_t i = 0; i >> shard_bits_ == 0 && clients(limit) != 0; ++i) {
        shards_[i].copy_to(copy);
        for (const ClientEntry& entry : copy)
            if (entry.used() && entry.limit() == limit) erase(entry.key, limit);
    }
    shared_buckets_->forget(limit);
    rule_book_->forget(limit);
    bans_.forget(limit);
}

}  // namespace sluice::limit
