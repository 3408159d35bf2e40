#include "service/upstream/upstream.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <utility>

#include "runtime/check.h"

namespace sluice::upstream {

namespace {

/// One more of something that is counted, until it is given up, or passes to somebody else.
class Counted {
  public:
    explicit Counted(std::atomic<std::int64_t>& count) : count_(&count) {
        count_->fetch_add(1, std::memory_order_relaxed);
    }
    ~Counted() {
        if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }
    Counted(const Counted&) = delete;
    void pass_on() { count_ = nullptr; }

  private:
    std::atomic<std::int64_t>* count_;
};

/// A place in the line that was taken.
class Place {
  public:
    explicit Place(Line& line) : line_(&line) {}
    ~Place() {
        if (line_ != nullptr) line_->give_back();
    }
    Place(const Place&) = delete;
    void pass_on() { line_ = nullptr; }

  private:
    Line* line_;
};

std::int64_t places_of(const config::Upstream& settings) {
    return static_cast<std::int64_t>(settings.max_connections);
}

}  // namespace

Lease::Lease(Upstream& upstream, std::unique_ptr<Connection> connection)
    : upstream_(&upstream), connection_(std::move(connection)) {
    server().figures.requests.fetch_add(1, std::memory_order_relaxed);
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
    server.keep(std::move(connection_), now);
    std::exchange(upstream_, nullptr)->line_->give_back();
}

void Lease::failed() {
    upstream_->failed(server());
}

[[gnu::noinline]] void Lease::refused_by_gateway() {
    upstream_->strike(server());
}

void Lease::close() {
    if (!connection_) return;
    server().figures.in_flight.fetch_sub(1, std::memory_order_relaxed);
    connection_.reset();
    std::exchange(upstream_, nullptr)->line_->give_back();
}

Upstream::Upstream(std::string name, const config::Upstream& settings, unsigned workers, telemetry::Log& log,
                   const Upstream* former, std::shared_ptr<const tls::Connector> connector)
    : name_(std::move(name)),
      settings_(settings),
      ejected_for_(settings.eject ? settings.eject->duration : runtime::Duration::zero()),
      log_(log),
      connector_(std::move(connector)),
      balancer_(settings.balance, settings.servers, std::random_device()()),
      line_(former != nullptr ? former->line_ : std::make_shared<Line>(places_of(settings))) {
    SLUICE_CHECK(!settings.servers.empty() && settings.servers.size() <= kMaxServers,
                 "an upstream has 1 to 64 servers");
    const std::vector<std::shared_ptr<Server>> nobody;
    const auto& known = former != nullptr ? former->servers_ : nobody;
    const auto find = [&](const auto& fits) {
        const auto found = std::ranges::find_if(known, fits);
        return found != known.end() ? *found : nullptr;
    };
    for (const config::Server& server : settings.servers) {
        (server.backup ? backup_ : primary_) |= set_of(servers_.size());
        // Each is taken over once, though several entries may have one address.
        auto next = find([&](const auto& each) {
            return each->same_as(server, settings, connector_.get()) &&
                   std::ranges::find(servers_, each) == servers_.end();
        });
        if (!next) {
            next = std::make_shared<Server>(server, settings, workers, log_, connector_);
            const auto alike =
                find([&](const auto& each) { return each->known_as(server, settings, connector_.get()); });
            if (alike) next->standing.take_over(alike->standing);
        }
        servers_.push_back(std::move(next));
    }
}

std::expected<Lease, Error> Upstream::acquire(runtime::Time& now, Tried& tried, const Asking& asking) {
    const runtime::Time deadline = now + settings_.connect_timeout;
    bool was_in_line = false;
    if (!line_->try_take()) [[unlikely]] {
        if (!in_service(now)) return std::unexpected(Error::none_healthy);
        const Line::Outcome waited = line_->wait(deadline, asking.gone);
        if (waited == Line::Outcome::late) return std::unexpected(Error::exhausted);
        if (waited == Line::Outcome::pointless) return std::unexpected(Error::client_gone);
        now = runtime::now();
        was_in_line = true;
    }
    Place place(*line_);
    Server* const server = pick(now, tried, asking);
    if (server == nullptr) return std::unexpected(Error::none_healthy);
    // Counted before it is connected: one that is slow to accept is busy too.
    Counted in_flight(server->figures.in_flight);
    const auto lend = [&](std::unique_ptr<Connection> connection) {
        place.pass_on();
        in_flight.pass_on();
        return Lease(*this, std::move(connection));
    };
    if (server != asking.stale)
        if (auto idle = server->take_idle()) return lend(std::move(idle));
    // Those that are being made count, or all who connect at once would make room for one.
    const Counted making(server->figures.open);
    make_room();
    auto connection = server->connect(deadline, asking.gone);
    if (connection) {
        now = runtime::now();
        return lend(std::move(*connection));
    }
    const Error error = connection.error();
    // What the line left of the time says nothing about the server.
    if (was_in_line && error == Error::timeout) return std::unexpected(Error::exhausted);
    if (error == Error::timeout && asking.gone()) return std::unexpected(Error::client_gone);
    if (error != Error::resources && error != Error::client_gone) failed(*server);
    return std::unexpected(error);
}

ServerSet Upstream::available(runtime::Time now) const {
    ServerSet healthy = 0;
    ServerSet ejected = 0;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        const Standing& standing = servers_[i]->standing;
        if (standing.healthy()) healthy |= set_of(i);
        if (standing.ejected(now, ejected_for_)) ejected |= set_of(i);
    }
    return (healthy & ~ejected) != 0 ? healthy & ~ejected : healthy;
}

// Null: no server is in service.
Server* Upstream::pick(runtime::Time now, Tried& tried, const Asking& asking) {
    const ServerSet available_now = available(now);
    if (asking.stale != nullptr) [[unlikely]] {
        const auto at = std::ranges::find(servers_, asking.stale, &std::shared_ptr<Server>::get);
        const auto index = static_cast<std::size_t>(at - servers_.begin());
        if (index < servers_.size() && contains(available_now, index)) return at->get();
    }
    if (servers_.size() == 1) {
        tried |= available_now;
        return available_now != 0 ? servers_.front().get() : nullptr;
    }
    const ServerSet primary = available_now & primary_;
    const ServerSet backup = available_now & backup_;
    // Of those in service that share the load; when all were tried, a retry may go to one of them again.
    ServerSet among = primary != 0 ? primary : backup;
    if (among == 0) return nullptr;
    ServerSet allowed = among & ~tried;
    if (allowed == 0 && (backup & ~tried) != 0) {
        among = backup;
        allowed = backup & ~tried;
    }
    if (allowed == 0) allowed = among;
    const std::size_t at = balancer_.pick(among, allowed, asking.client, [this](std::size_t server) {
        return servers_[server]->figures.in_flight.load(std::memory_order_relaxed);
    });
    tried |= set_of(at);
    return servers_[at].get();
}

// Idle connections count towards max_connections, but give way to a request that makes one elsewhere, and has
// counted it.
void Upstream::make_room() {
    std::int64_t open = 0;
    for (const auto& server : servers_) open += server->figures.open.load(std::memory_order_relaxed);
    for (const auto& server : servers_)
        while (open > static_cast<std::int64_t>(settings_.max_connections) && server->pool.take()) --open;
}

void Upstream::failed(Server& server) {
    server.figures.failures.fetch_add(1, std::memory_order_relaxed);
    strike(server);
}

void Upstream::strike(Server& server) {
    if (!settings_.eject || servers_.size() == 1) return;  // the only one is always the last
    const std::uint32_t failures = server.standing.failed();
    const runtime::Time now = runtime::now();
    if (failures < settings_.eject->after || server.standing.ejected(now, ejected_for_)) return;
    {
        const std::scoped_lock hold(ejecting_);
        if (server.standing.ejected(now, ejected_for_)) return;
        const bool last = std::ranges::none_of(
            servers_, [&](const auto& other) { return other.get() != &server && in_service(*other, now); });
        if (last) return;
        server.standing.eject(now, ejected_for_);
    }
    log_.warn("server ejected: too many of its requests failed in a row",
              {{"upstream", name_},
               {"server", server.address()},
               {"failures", failures},
               {"seconds", std::chrono::duration<double>(settings_.eject->duration).count()}});
}

void Upstream::come_into_force() {
    line_->resize(places_of(settings_));
}

void Upstream::sweep(runtime::Time now) {
    for (auto& server : servers_) server->pool.sweep(now);
}

}  // namespace sluice::upstream
