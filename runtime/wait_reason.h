#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::runtime {

// Why a task is parked. One value for each place that parks, so that a dump tells what a task waits for.
enum class WaitReason : std::uint8_t {
    none,
    yield,
    sleep,
    mutex,
    shared_mutex,
    shared_mutex_shared,
    condition,
    semaphore,
    wait_group,
    once,
    channel_send,
    channel_receive,
    select,
    task_group,
    blocking,
    net_accept,
    net_connect,
    net_read,
    net_write,
    signal,
    asio,
};

constexpr std::string_view name(WaitReason reason) {
    switch (reason) {
        case WaitReason::none: return "none";
        case WaitReason::yield: return "yield";
        case WaitReason::sleep: return "sleep";
        case WaitReason::mutex: return "mutex";
        case WaitReason::shared_mutex: return "shared mutex";
        case WaitReason::shared_mutex_shared: return "shared mutex, shared";
        case WaitReason::condition: return "condition";
        case WaitReason::semaphore: return "semaphore";
        case WaitReason::wait_group: return "wait group";
        case WaitReason::once: return "once";
        case WaitReason::channel_send: return "channel send";
        case WaitReason::channel_receive: return "channel receive";
        case WaitReason::select: return "select";
        case WaitReason::task_group: return "task group";
        case WaitReason::blocking: return "blocking call";
        case WaitReason::net_accept: return "accept";
        case WaitReason::net_connect: return "connect";
        case WaitReason::net_read: return "read";
        case WaitReason::net_write: return "write";
        case WaitReason::signal: return "signal";
        case WaitReason::asio: return "asio operation";
    }
    return "unknown";
}

}  // namespace sluice::runtime
