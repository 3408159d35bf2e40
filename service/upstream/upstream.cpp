#include "service/upstream/upstream.h"

#include <bit>
#include <utility>

#include "runtime/check.h"

namespace sluice::upstream {

Lease::Lease(Upstream& upstream, std::unique_ptr<Connection> connection)
    : upstream_(&upstream), connection_(std::move(connection)) {
    auto& figures = server().figures;
    figures.requests.fetch_add(1, std::memory_order_relaxed);
    figures.in_flight.fetch_add(1, std::memory_order_relaxed);
}

Lease::Lease(Lease&& other) noexcept
    : upstream_(std::exchange(other.upstream_, nullptr)), connection_(std::move(other.connection_)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
    if (this != &other) {
        close();
        upstream_ = std::exchange(other.upstream_, nullptr);
        connection_ = std::move(other.connection_);
    }
    return *this;
}

Lease::~Lease() {
    close();
}

void Lease::keep(runtime::Time now) {
    Server& server = connection_->server;
    server.figures.in_flight.fetch_sub(1, std::memory_order_relaxed);
    server.pool.put(std::move(connection_), now);
    Upstream& upstream = *std::exchange(upstream_, nullptr);
    if (upstream.retired_.load(std::memory_order_seq_cst)) upstream.retire();  // put() may have come too late
    upstream.slots_.release();
}

void Lease::failed() {
    server().figures.failures.fetch_add(1, std::memory_order_relaxed);
}

void Lease::close() {
    if (!connection_) return;
    server().figures.in_flight.fetch_sub(1, std::memory_order_relaxed);
    connection_.reset();
    std::exchange(upstream_, nullptr)->slots_.release();
}

Upstream::Upstream(std::string name, const config::Upstream& settings, unsigned workers)
    : name_(std::move(name)),
      settings_(settings),
      slots_(static_cast<std::ptrdiff_t>(settings.max_connections)) {
    for (const auto& server : settings.servers)
        servers_.push_back(std::make_unique<Server>(server, settings, workers));
    SLUICE_CHECK(!servers_.empty() && servers_.size() <= kMaxServers, "an upstream has 1 to 64 servers");
}

std::expected<Lease, Error> Upstream::acquire(runtime::Time now, Tried& tried, bool fresh) {
    const std::size_t at = pick(tried);
    tried |= Tried{1} << at;
    Server& server = *servers_[at];
    const runtime::Time deadline = now + settings_.connect_timeout;
    if (!slots_.try_acquire() && !slots_.try_acquire_until(deadline))
        return std::unexpected(Error::exhausted);
    if (!fresh)
        if (auto idle = server.pool.take()) return Lease(*this, std::move(idle));
    make_room();
    auto stream = server.connect(now, deadline);
    if (stream) return Lease(*this, std::make_unique<Connection>(std::move(*stream), server));
    slots_.release();
    server.figures.failures.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(stream.error());
}

bool Upstream::another(Tried tried) const {
    return static_cast<std::size_t>(std::popcount(tried)) < servers_.size();
}

std::size_t Upstream::pick(Tried tried) {
    if (servers_.size() == 1) return 0;
    const std::size_t first = turn_.fetch_add(1, std::memory_order_relaxed) % servers_.size();
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        const std::size_t at = (first + i) % servers_.size();
        if (!(tried >> at & 1)) return at;
    }
    return first;  // every server has been tried; a stale connection's retry may go to the same one
}

// Idle connections count towards max_connections, but give way to a request that needs one elsewhere.
void Upstream::make_room() {
    std::int64_t open = 0;
    for (const auto& server : servers_) open += server->figures.open.load(std::memory_order_relaxed);
    for (const auto& server : servers_)
        while (open >= static_cast<std::int64_t>(settings_.max_connections) && server->pool.take()) --open;
}

void Upstream::retire() {
    retired_.store(true, std::memory_order_seq_cst);
    for (const auto& server : servers_) {
        while (server->pool.take()) {
        }
    }
}

void Upstream::sweep(runtime::Time now) {
    for (auto& server : servers_) server->pool.sweep(now);
}

}  // namespace sluice::upstream
