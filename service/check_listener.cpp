#include "service/check_listener.h"

#include <utility>

#include "config/overlap.h"
#include "runtime/go.h"
#include "runtime/until_memory.h"
#include "service/front.h"

namespace sluice {

std::expected<void, std::string> CheckListener::prepare(const config::Config& config) {
    prepared_.reset();
    wanted_ = config.check;
    wanted_shared_ = config::shares_check(config);
    connections_max_ = static_cast<std::size_t>(config.max.connections);
    if (!wanted_ || wanted_ == address_) return {};
    auto socket = open_socket(*wanted_, wanted_shared_);
    if (!socket) return std::unexpected(socket.error());
    prepared_ = std::make_shared<admin::Server>(
        std::move(*socket), admin::check_api(decide_),
        admin::Server::Options{.token = {}, .for_others = true, .connections_max = connections_max_}, log_);
    return {};
}

void CheckListener::commit() {
    std::erase_if(going_, [](const Listening& each) { return each.use_count() == 1; });
    if (wanted_ != address_) {
        auto address = wanted_;
        going_.reserve(going_.size() + 1);
        if (prepared_)
            runtime::go([counted = runtime::Counted(tasks_), server = prepared_] {
                runtime::until_memory([&] { server->run(); });
            });
        if (current_) {
            current_->finish();
            going_.push_back(std::move(current_));
        }
        current_ = std::move(prepared_);
        address_ = std::move(address);
        shared_ = wanted_shared_;
    } else if (current_ && wanted_shared_ && !shared_) {
        // Never taken back: a successor may be there, and the kernel lets others in for long after.
        current_->share_port(true);
        shared_ = true;
    }
    if (current_) current_->set_connections_max(connections_max_);
}

std::optional<std::string> CheckListener::address() const {
    return current_ ? std::optional(bound_text(*address_, current_->local())) : std::nullopt;
}

void CheckListener::finish() {
    if (current_) current_->finish();
}

std::size_t CheckListener::open() const {
    std::size_t open = current_ ? current_->open() : 0;
    for (const Listening& each : going_) open += each->open();
    return open;
}

void CheckListener::cancel() {
    for (const Listening& each : going_) each->close();
    if (current_) current_->close();
}

void CheckListener::close() {
    cancel();
    tasks_.wait();
}

}  // namespace sluice
