#include "service/admin/server.h"

#include <algorithm>
#include <exception>
#include <new>
#include <ranges>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "service/admin/access.h"
#include "service/admin/connection.h"

namespace sluice::admin {
namespace {

// Of the connections there have been longest, how many are asked to give way; and how many that do so may not
// have ended yet.
constexpr std::size_t kGivingWayMax = 64;

// How long who has asked nothing may take when no more are to come: a call may be on its way.
constexpr runtime::Duration kUnderWay = std::chrono::milliseconds(500);

}  // namespace

Server::Server(runtime::TcpListener listener, std::vector<Route> routes, Options options, telemetry::Log& log)
    : router_(std::move(routes)),
      options_(std::move(options)),
      log_(log),
      listener_(std::move(listener)),
      token_(options_.token),
      connections_max_(options_.connections_max) {}

void Server::run() {
    runtime::Endpoint caller;
    while (auto stream = listener_.accept(caller)) {
        try {
            start(std::move(*stream), caller);
        } catch (const std::bad_alloc&) {  // this one is dropped
        }
    }
    if (!serving_.wait_until(runtime::now() + kUnderWay)) end_idle_if_finishing();
    serving_.wait();
}

void Server::start(runtime::TcpStream stream, const runtime::Endpoint& caller) {
    auto connection = std::make_unique<Connection>(std::move(stream), caller, options_);
    {
        const std::scoped_lock hold(mutex_);
        if (closing_) return;
        if (!make_room()) return connection->turn_away();
        if (finishing_) connection->answer_once();
        connections_.push_back(connection.get());
        serving_.add();
    }
    Connection* const served = connection.release();  // its task's
    try {
        runtime::go([this, served] { serve(std::unique_ptr<Connection>(served)); });
    } catch (const std::bad_alloc&) {  // there is no memory for a stack
        {
            const std::scoped_lock hold(mutex_);
            std::erase(connections_, served);
        }
        delete served;
        serving_.done();
    }
}

// For one more. Under mutex_.
bool Server::make_room() {
    if (connections_.size() < connections_max_) return true;
    if (connections_.size() >= connections_max_ + kGivingWayMax) return false;
    const auto oldest = connections_ | std::views::take(kGivingWayMax);
    return std::ranges::any_of(oldest, [](Connection* each) { return each->give_way(false); }) ||
           std::ranges::any_of(oldest, [](Connection* each) { return each->give_way(true); });
}

void Server::finish() {
    listener_.close();
    const std::scoped_lock hold(mutex_);
    finishing_ = true;
    for (Connection* connection : connections_) connection->answer_once();
}

void Server::end_idle_if_finishing() {
    const std::scoped_lock hold(mutex_);
    if (!finishing_) return;
    for (Connection* connection : connections_) connection->give_way(false);
}

std::size_t Server::open() const {
    const std::scoped_lock hold(mutex_);
    return connections_.size();
}

void Server::set_connections_max(std::size_t most) {
    const std::scoped_lock hold(mutex_);
    connections_max_ = most;
    std::size_t surplus = connections_.size() - std::min(connections_.size(), most);
    for (auto each = connections_.begin(); surplus > 0 && each != connections_.end(); ++each)
        if ((*each)->give_way(false)) --surplus;
}

void Server::close() {
    listener_.close();
    const std::scoped_lock hold(mutex_);
    closing_ = true;
    for (Connection* connection : connections_) connection->cancel();
}

void Server::set_token(std::string token) {
    const std::scoped_lock hold(mutex_);
    if (token == token_) return;
    token_ = std::move(token);
    for (Connection* connection : connections_) connection->give_way(true);
}

void Server::serve(std::unique_ptr<Connection> connection) {
    try {
        connection->serve([this](Request& request) { return respond(request); });
    } catch (const std::bad_alloc&) {  // it ends
    }
    {
        const std::scoped_lock hold(mutex_);
        std::erase(connections_, connection.get());
    }
    connection.reset();
    serving_.done();
}

Response Server::respond(Request& request) const {
    const Router::Match match = router_.match(request);
    if (!(match.route && match.route->open) && !may_call(request)) {
        const bool asks = match.route && match.route->asks;
        Response refusal =
            asks ? match.route->handle(request) : problem(401, "this call needs the admin token");
        refusal.status = 401;
        refusal.fields.emplace_back("WWW-Authenticate", "Bearer");
        return refusal;
    }
    if (!match.route) return match.otherwise;
    if (match.route->method != "GET" && !options_.for_others && is_of_foreign_page(request)) {
        return problem(403, "a page of another origin may not change anything here");
    }
    try {
        const auto handle = [&] { return match.route->handle(request); };
        return match.route->heavy ? runtime::blocking(handle) : handle();
    } catch (const std::exception& error) {
        log_.error("admin call failed", {{"path", request.path}, {"error", error.what()}});
        return problem(500, error.what());
    }
}

// A page that knows the token is not foreign, whatever name it was reached by.
bool Server::is_of_foreign_page(const Request& request) const {
    const std::string_view origin = request.field("Origin"), host = request.field("Host");
    if (from_elsewhere(origin, host)) return true;
    const std::scoped_lock hold(mutex_);
    return token_.empty() && !origin.empty() && may_be_rebound(host);
}

bool Server::may_call(const Request& request) const {
    const std::scoped_lock hold(mutex_);
    return token_.empty() || authorized(request.field("Authorization"), token_);
}

}  // namespace sluice::admin
