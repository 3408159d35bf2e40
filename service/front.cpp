#include "service/front.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/resolve.h"

namespace sluice {

using namespace std::chrono_literals;

std::expected<runtime::TcpListener, std::string> open_socket(const config::Address& address) {
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
    auto socket = runtime::TcpListener::bind(endpoints.front());
    if (!socket) return fail(socket.error());
    return std::move(*socket);
}

std::expected<void, std::string> Front::prepare(const std::vector<config::Listen>& wanted) {
    planned_.clear();
    std::vector<Planned> planned;
    for (const config::Listen& listen : wanted) {
        const auto known = [&](const Planned& each) {
            return each.entrances->entries.front().address == listen.address;
        };
        if (std::ranges::any_of(planned, known)) continue;
        auto entrances = entrances_at(wanted, listen.address);
        if (!entrances) return std::unexpected(entrances.error());
        auto next = plan(std::move(*entrances));
        if (!next) return std::unexpected(next.error());
        planned.push_back(std::move(*next));
    }
    planned_ = std::move(planned);
    return {};
}

std::expected<Front::EntrancesPtr, std::string> Front::entrances_at(const std::vector<config::Listen>& wanted,
                                                                    const config::Address& address) {
    auto entrances = std::make_shared<proxy::Entrances>();
    std::vector<tls::Acceptor::Files> files;
    for (const config::Listen& listen : wanted) {
        if (listen.address != address) continue;
        entrances->entries.push_back(listen);
        if (const auto& tls = listen.tls) files.push_back({tls->certificate, tls->key, tls->client_ca});
    }
    if (files.empty()) return entrances;
    auto acceptor = runtime::blocking([&] { return tls::Acceptor::make(files, ticket_keys_); });
    if (!acceptor) return std::unexpected("cannot serve TLS on " + address.text + ": " + acceptor.error());
    entrances->acceptor = std::move(*acceptor);
    return entrances;
}

std::expected<Front::Planned, std::string> Front::plan(EntrancesPtr entrances) const {
    const config::Address& address = entrances->entries.front().address;
    const auto open = std::ranges::find_if(
        open_, [&](const ListenerPtr& listener) { return listener->address() == address; });
    if (open != open_.end()) return Planned{std::move(entrances), *open, false};
    auto socket = open_socket(address);
    if (!socket) return std::unexpected(socket.error());
    auto listener = std::make_shared<proxy::Listener>(context_, entrances, std::move(*socket));
    return Planned{std::move(entrances), std::move(listener), true};
}

void Front::commit() {
    std::erase_if(open_, [this](const ListenerPtr& listener) {
        const bool stays = std::ranges::find(planned_, listener, &Planned::listener) != planned_.end();
        if (!stays) listener->close();
        return !stays;
    });
    for (Planned& each : planned_) {
        each.listener->set_entrances(std::move(each.entrances));
        if (!each.fresh) continue;
        tasks_.add();
        runtime::go([this, listener = each.listener] {
            listener->run();
            tasks_.done();
        });
        open_.push_back(each.listener);
    }
    planned_.clear();
}

void Front::close() {
    for (const auto& listener : open_) listener->close();
    open_.clear();
    tasks_.wait();
}

}  // namespace sluice
