#include "service/front.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>
#include <netdb.h>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/resolve.h"
#include "runtime/this_task.h"
#include "runtime/until_memory.h"

namespace sluice {

using namespace std::chrono_literals;

namespace {

// What a client's connection may take from the first packet, which chose our socket, to the last of its
// handshake: with a packet lost and sent again it takes longer, and is tried again by the client's kernel.
constexpr runtime::Duration kUnderWay = 300ms;

bool same_port(const config::Address& a, const config::Address& b) {
    return a.unix_path.empty() && b.unix_path.empty() && a.port == b.port;
}

}  // namespace

std::expected<runtime::TcpListener, std::string> open_socket(const config::Address& address,
                                                             bool reuse_port) {
    const auto fail = [&](const runtime::error_code& error) {
        return std::unexpected("cannot listen on " + address.text + ": " + error.message());
    };
    std::vector<runtime::Endpoint> endpoints;
    if (!address.unix_path.empty()) {
        endpoints = {boost::asio::local::stream_protocol::endpoint(address.unix_path)};
    } else {
        auto found = runtime::resolve(address.host, address.port, runtime::now() + 5s);
        if (!found) return fail(found.error());
        endpoints = std::move(*found);
    }
    auto socket = runtime::TcpListener::bind(endpoints.front(), {.reuse_port = reuse_port});
    if (!socket) return fail(socket.error());
    return std::move(*socket);
}

std::string bound_text(const config::Address& address, const runtime::Endpoint& local) {
    if (!address.unix_path.empty()) return address.text;
    std::array<char, NI_MAXHOST> host;
    std::array<char, NI_MAXSERV> port;
    if (::getnameinfo(local.data(), static_cast<socklen_t>(local.size()), host.data(), host.size(),
                      port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return address.text;
    }
    const std::string text(host.data());
    return (text.contains(':') ? "[" + text + "]" : text) + ":" + port.data();
}

std::string Front::addresses() const {
    std::string text;
    for (const ListenerPtr& each : open_)
        text += (text.empty() ? "" : ", ") + bound_text(each->address(), each->local());
    return text;
}

std::expected<void, std::string> Front::prepare(const std::vector<config::Listen>& wanted) {
    planned_.clear();
    std::vector<Planned> planned;
    for (const config::Listen& listen : wanted) {
        const auto known = [&](const Planned& each) {
            return each.entrances->entries().front().address == listen.address;
        };
        if (std::ranges::any_of(planned, known)) continue;
        auto entrances = entrances_at(wanted, listen.address);
        if (!entrances) return std::unexpected(entrances.error());
        auto next = plan(std::move(*entrances), wanted);
        if (!next) return std::unexpected(next.error());
        planned.push_back(std::move(*next));
    }
    planned_ = std::move(planned);
    return {};
}

std::expected<Front::EntrancesPtr, std::string> Front::entrances_at(const std::vector<config::Listen>& wanted,
                                                                    const config::Address& address) {
    std::vector<config::Listen> entries;
    std::vector<tls::Acceptor::Files> files;
    for (const config::Listen& listen : wanted) {
        if (listen.address != address) continue;
        entries.push_back(listen);
        if (const auto& tls = listen.tls) files.push_back({tls->certificate, tls->key, tls->client_ca});
    }
    if (files.empty()) return std::make_shared<const proxy::Entrances>(std::move(entries), nullptr);
    auto acceptor = runtime::blocking([&] { return tls::Acceptor::make(files, ticket_keys_); });
    if (!acceptor) return std::unexpected("cannot serve TLS on " + address.text + ": " + acceptor.error());
    return std::make_shared<const proxy::Entrances>(std::move(entries), std::move(*acceptor));
}

std::expected<Front::Planned, std::string> Front::plan(EntrancesPtr entrances,
                                                       const std::vector<config::Listen>& wanted) const {
    const config::Address& address = entrances->entries().front().address;
    const auto open = std::ranges::find_if(
        open_, [&](const ListenerPtr& listener) { return listener->address() == address; });
    if (open != open_.end()) return Planned{std::move(entrances), *open, false};
    auto socket = open_beside(entrances->entries().front(), wanted);
    if (!socket) return std::unexpected(socket.error());
    auto listener = std::make_shared<proxy::Listener>(context_, entrances, std::move(*socket));
    return Planned{std::move(entrances), std::move(listener), true};
}

// A listener that this reload removes may hold the same port at an overlapping address (0.0.0.0 against
// 127.0.0.1). The two share the port until it is gone. A listener that stays never shares: the next start
// could not open both.
std::expected<runtime::TcpListener, std::string> Front::open_beside(
    const config::Listen& listen, const std::vector<config::Listen>& wanted) const {
    std::vector<ListenerPtr> sharing;
    const auto stays = [&](const ListenerPtr& each) {
        return std::ranges::find(wanted, each->address(), &config::Listen::address) != wanted.end();
    };
    const auto in_the_way = [&](const ListenerPtr& each) {
        return same_port(each->address(), listen.address) && !each->reuse_port();
    };
    for (const ListenerPtr& each : open_)
        if (in_the_way(each) && !stays(each)) sharing.push_back(each);
    for (const auto& weak : leaving_)  // of the last reload; its socket may not be gone yet
        if (auto each = weak.lock(); each && in_the_way(each)) sharing.push_back(std::move(each));
    for (const ListenerPtr& each : sharing) each->share_port(true);
    auto socket = open_socket(listen.address, listen.reuse_port || !sharing.empty());
    for (const ListenerPtr& each : sharing) each->share_port(false);
    if (socket && !listen.reuse_port && !sharing.empty()) socket->share_port(false);
    return socket;
}

void Front::commit() {
    std::vector<ListenerPtr> leaving;
    leaving.reserve(open_.size());
    leaving_.reserve(open_.size());
    open_.reserve(open_.size() + planned_.size());
    for (Planned& each : planned_) {
        if (each.entrances) each.listener->set_entrances(std::move(each.entrances));
        if (!each.fresh) continue;
        runtime::go([counted = runtime::Counted(tasks_), listener = each.listener] {
            runtime::until_memory([&] { listener->run(); });
        });
        each.fresh = false;
        open_.push_back(each.listener);
    }
    std::erase_if(open_, [&](const ListenerPtr& listener) {
        const bool stays = std::ranges::find(planned_, listener, &Planned::listener) != planned_.end();
        if (!stays) leaving.push_back(listener);
        return !stays;
    });
    planned_.clear();
    close_all(leaving);
}

// One whose port goes on at another address leaves newcomers to that, and takes what has begun.
void Front::close_all(const std::vector<ListenerPtr>& leaving) {
    const auto goes_on = [&](const ListenerPtr& listener) {
        return std::ranges::any_of(
            open_, [&](const ListenerPtr& each) { return same_port(each->address(), listener->address()); });
    };
    bool under_way = false;
    for (const ListenerPtr& listener : leaving) {
        if (!goes_on(listener)) continue;
        listener->turn_deaf();
        under_way = true;
    }
    if (under_way) runtime::this_task::sleep_for(kUnderWay);
    for (const ListenerPtr& listener : leaving) listener->close();
    // Who hears that the configuration is in force finds them closed. Under a flood that takes longer.
    const runtime::Time latest = runtime::now() + kUnderWay;
    for (const ListenerPtr& listener : leaving) listener->ended_by(latest);
    leaving_.assign(leaving.begin(), leaving.end());
}

void Front::close(bool elsewhere) {
    const auto shared = std::ranges::count_if(open_, [](const auto& each) { return each->hand_over(); });
    if (shared > 0 || elsewhere) runtime::this_task::sleep_for(kUnderWay);
    for (const auto& listener : open_) listener->close();
    open_.clear();
    tasks_.wait();
}

}  // namespace sluice
