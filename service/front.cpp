#include "service/front.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>

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
    prepared_.clear();
    wanted_ = wanted;
    for (const config::Listen& listen : wanted) {
        if (std::ranges::any_of(
                open_, [&](const auto& known) { return known->settings()->address == listen.address; }))
            continue;
        auto socket = open_socket(listen.address);
        if (!socket) {
            prepared_.clear();
            return std::unexpected(socket.error());
        }
        prepared_.push_back(std::make_shared<proxy::Listener>(context_, listen, std::move(*socket)));
    }
    return {};
}

void Front::commit() {
    std::erase_if(open_, [this](const auto& listener) {
        const auto wanted =
            std::ranges::find(wanted_, listener->settings()->address, &config::Listen::address);
        if (wanted == wanted_.end()) {
            listener->close();
            return true;
        }
        listener->set_settings(*wanted);
        return false;
    });
    for (auto& listener : prepared_) {
        tasks_.add();
        runtime::go([this, listener] {
            listener->run();
            tasks_.done();
        });
        open_.push_back(listener);
    }
    prepared_.clear();
}

void Front::close() {
    for (const auto& listener : open_) listener->close();
    open_.clear();
    tasks_.wait();
}

}  // namespace sluice
