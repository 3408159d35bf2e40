#include "service/upstream/addresses.h"

#include <algorithm>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "runtime/this_task.h"

namespace sluice::upstream {

Addresses::Addresses(const config::Address& address) : host_(address.host), port_(address.port) {
    boost::system::error_code not_digits;
    if (!address.unix_path.empty()) {
        fixed_ = true;
        known_ = {boost::asio::local::stream_protocol::endpoint(address.unix_path)};
    } else if (const auto ip = boost::asio::ip::make_address(host_, not_digits); !not_digits) {
        fixed_ = true;
        known_ = {boost::asio::ip::tcp::endpoint(ip, port_)};
    } else {
        first_.add();
    }
}

std::expected<std::vector<runtime::Endpoint>, Error> Addresses::in_turn(runtime::Time deadline) {
    if (!first_.wait_until(deadline)) return std::unexpected(Error::timeout);
    std::vector<runtime::Endpoint> all;
    {
        const std::scoped_lock hold(lock_);
        all = known_;
    }
    if (all.empty()) {
        doubt();
        return std::unexpected(Error::lookup);
    }
    const std::size_t first = turn_.fetch_add(1, std::memory_order_relaxed) % all.size();
    std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first), all.end());
    return all;
}

void Addresses::doubt() {
    if (!fixed_ && !doubted_.exchange(true, std::memory_order_relaxed)) doubts_.release();
}

bool Addresses::contain(const runtime::Endpoint& address) const {
    const std::scoped_lock hold(lock_);
    return std::binary_search(known_.begin(), known_.end(), address);
}

void Addresses::keep_looking_up(const Resolve& resolve, const Tell& tell) {
    runtime::Duration again = kAgain;
    while (!runtime::this_task::cancelled()) {
        const Outcome outcome = look_up(resolve, tell);
        const runtime::Duration pause = outcome == Outcome::found ? kHolds : again;
        again = outcome == Outcome::found ? kAgain : std::min<runtime::Duration>(again * 2, kAgainMax);
        // A doubt does not wait that long, but there is a second between two lookups in any case.
        const runtime::Time next = runtime::now() + pause;
        runtime::this_task::sleep_for(outcome == Outcome::late ? pause : kAgain);
        doubted_.store(false, std::memory_order_relaxed);
        (void)doubts_.try_acquire_until(next);
    }
    note_first();
}

Addresses::Outcome Addresses::look_up(const Resolve& resolve, const Tell& tell) {
    bool late = false;
    auto found = resolve(host_, port_, kPatience, [&] {
        late = true;
        note(true, runtime::error_code(boost::asio::error::timed_out).message(), tell);
    });
    if (runtime::this_task::cancelled()) return Outcome::failed;
    if (!found) {
        note(true, found.error().message(), tell);
        return late ? Outcome::late : Outcome::failed;
    }
    const std::size_t count = found->size();
    const bool moved = learn(std::move(*found));
    note(false, "", tell);
    if (moved) tell(News::moved, std::to_string(count));
    return Outcome::found;
}

// What a lookup has come to, or is taken to have.
void Addresses::note(bool failed, std::string_view reason, const Tell& tell) {
    if (failed != std::exchange(failing_, failed)) tell(failed ? News::failed : News::recovered, reason);
    note_first();
}

void Addresses::note_first() {
    if (!std::exchange(asked_, true)) first_.done();
}

// Whether there were other addresses before.
bool Addresses::learn(std::vector<runtime::Endpoint> found) {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    const std::scoped_lock hold(lock_);
    if (found == known_) return false;
    const bool moved = !known_.empty();
    known_ = std::move(found);
    version_.fetch_add(1, std::memory_order_release);
    return moved;
}

}  // namespace sluice::upstream
