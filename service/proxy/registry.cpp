#include "service/proxy/registry.h"

#include "runtime/scheduler.h"

namespace sluice::proxy {

bool Registry::admit(std::size_t max) {
    if (open_.fetch_add(1, std::memory_order_acq_rel) < max) return true;
    leave();
    return false;
}

void Registry::add(Registered& connection) {
    connection.shard_ =
        std::min<unsigned>(runtime::worker_index(), static_cast<unsigned>(shards_.size()) - 1);
    Shard& shard = shards_[connection.shard_];
    const std::scoped_lock hold(shard.lock);
    connection.after_ = shard.first;
    if (shard.first) shard.first->before_ = &connection;
    shard.first = &connection;
}

void Registry::remove(Registered& connection) {
    Shard& shard = shards_[connection.shard_];
    const std::scoped_lock hold(shard.lock);
    (connection.before_ ? connection.before_->after_ : shard.first) = connection.after_;
    if (connection.after_) connection.after_->before_ = connection.before_;
}

}  // namespace sluice::proxy
