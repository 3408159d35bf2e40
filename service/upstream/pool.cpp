#include "service/upstream/pool.h"

#include <utility>

#include "runtime/scheduler.h"
#include "service/upstream/server.h"

namespace sluice::upstream {

Connection::Connection(tls::Stream connected, Server& to, const runtime::Endpoint& where,
                       std::uint32_t addresses)
    : stream(std::move(connected)), server(to), peer(where), version(addresses) {
    server.figures.open.fetch_add(1, std::memory_order_relaxed);
}

Connection::~Connection() {
    server.figures.open.fetch_sub(1, std::memory_order_relaxed);
}

Pool::Pool(unsigned workers, std::size_t max_idle, runtime::Duration idle_timeout)
    : max_idle_(max_idle), idle_timeout_(idle_timeout), shards_(workers + 1) {
    for (auto& shard : shards_) shard.idle.reserve(max_idle);
}

Pool::~Pool() = default;

Pool::Shard& Pool::own_shard() {
    return shards_[std::min<std::size_t>(runtime::worker_index(), shards_.size() - 1)];
}

std::unique_ptr<Connection> Pool::pop(Shard& shard) {
    std::vector<std::unique_ptr<Connection>> stale;  // closed after the lock is let go; allocates only then
    std::unique_ptr<Connection> found;
    const std::scoped_lock hold(shard.lock);
    while (!found && !shard.idle.empty()) {
        auto last = std::move(shard.idle.back());
        shard.idle.pop_back();
        size_.fetch_sub(1, std::memory_order_relaxed);
        // Anything to read on a connection that owes us nothing is a close, or bytes that nobody asked for.
        (last->stream.has_unread_event() ? stale.emplace_back() : found) = std::move(last);
    }
    return found;
}

std::unique_ptr<Connection> Pool::take() {
    if (size() == 0) return nullptr;
    Shard& own = own_shard();
    if (auto found = pop(own)) return found;
    for (auto& shard : shards_)
        if (&shard != &own)
            if (auto found = pop(shard)) return found;
    return nullptr;
}

void Pool::put(std::unique_ptr<Connection> connection, runtime::Time now) {
    if (max_idle_ == 0) return;
    connection->reused = true;
    connection->idle_since = now;
    std::unique_ptr<Connection> coldest;
    Shard& shard = own_shard();
    const std::scoped_lock hold(shard.lock);
    if (size_.fetch_add(1, std::memory_order_relaxed) >= max_idle_) {
        size_.fetch_sub(1, std::memory_order_relaxed);
        if (shard.idle.empty()) {
            coldest = std::move(connection);
            return;
        }
        coldest = std::move(shard.idle.front());
        shard.idle.erase(shard.idle.begin());
    }
    shard.idle.push_back(std::move(connection));
}

void Pool::sweep(runtime::Time now) {
    for (auto& shard : shards_) {
        std::vector<std::unique_ptr<Connection>> stale;
        const std::scoped_lock hold(shard.lock);
        std::erase_if(shard.idle, [&](auto& connection) {
            if (now - connection->idle_since < idle_timeout_ && !connection->stream.has_unread_event())
                return false;
            size_.fetch_sub(1, std::memory_order_relaxed);
            stale.push_back(std::move(connection));
            return true;
        });
    }
}

}  // namespace sluice::upstream
