#include "runtime/resolve.h"

#include <cerrno>
#include <exception>
#include <memory>
#include <utility>

#include <boost/asio/error.hpp>
#include <netdb.h>

#include "runtime/blocking.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

namespace {

// Lookups under way in the process, those that nobody waits for any more included: where no server of names
// answers, each keeps its thread, and others need some too.
constexpr std::ptrdiff_t kLookupsMax = 16;

class Place {
  public:
    explicit Place(Semaphore& free) : free_(&free) {}
    Place(Place&& other) noexcept : free_(std::exchange(other.free_, nullptr)) {}
    ~Place() {
        if (free_ != nullptr) free_->release();
    }

  private:
    Semaphore* free_;
};

error_code to_error(int result) {
    switch (result) {
        case EAI_AGAIN: return boost::asio::error::host_not_found_try_again;
        case EAI_MEMORY: return boost::asio::error::no_memory;
        case EAI_SYSTEM: return {errno, boost::system::system_category()};
        default: return boost::asio::error::host_not_found;
    }
}

// Never inlined: reads errno, and resolve() parks.
[[gnu::noinline]] Resolved look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int result = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
    if (result != 0) return std::unexpected(to_error(result));
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    std::vector<Endpoint> endpoints;
    for (const addrinfo* it = list; it != nullptr; it = it->ai_next) {
        endpoints.emplace_back(it->ai_addr, it->ai_addrlen);
    }
    return endpoints;
}

Resolved gave_up() {
    return std::unexpected(this_task::cancelled() ? error_code(boost::asio::error::operation_aborted)
                                                  : error_code(boost::asio::error::timed_out));
}

Semaphore& places() {
    static Semaphore free(kLookupsMax);
    return free;
}

}  // namespace

Resolved resolve(const std::string& host, std::uint16_t port, Time deadline) {
    if (Resolved digits = look_up(host, port, AI_NUMERICHOST)) return digits;
    if (places().try_acquire_until(deadline)) {
        Place place(places());
        auto answer = blocking_until(
            deadline, [host, port, place = std::move(place)] { return look_up(host, port, 0); });
        if (answer) return *std::move(answer);
    }
    return gave_up();
}

Resolved resolve_patiently(const std::string& host, std::uint16_t port, Duration patience,
                           const std::function<void()>& late) {
    if (Resolved digits = look_up(host, port, AI_NUMERICHOST)) return digits;
    return detail::resolve_patiently(
        places(), [host, port] { return look_up(host, port, 0); }, patience, late);
}

namespace detail {

Resolved resolve_patiently(Semaphore& places, std::function<Resolved()> look_up, Duration patience,
                           const std::function<void()>& late) {
    if (!places.try_acquire_until(kNever)) return gave_up();
    Place place(places);
    TaskGroup clock;
    try {
        clock.go([&] {
            this_task::sleep_for(patience);
            if (!this_task::cancelled()) late();
        });
    } catch (const std::exception&) {  // no memory for a task: nobody is told
    }
    auto answer = blocking_until(
        kNever, [look_up = std::move(look_up), place = std::move(place)] { return look_up(); });
    clock.cancel();
    clock.wait();
    return answer ? *std::move(answer) : gave_up();
}

}  // namespace detail

}  // namespace sluice::runtime
