#include "service/process_end.h"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <thread>

#include "runtime/inspect.h"
#include "runtime/this_task.h"

namespace sluice {

namespace {

using namespace std::chrono_literals;

constexpr runtime::Duration kLookAgain = 10ms;
constexpr runtime::Duration kLeft = 1s;  // for tasks and calls that nobody can end

}  // namespace

void end_within(runtime::Duration time, int code) {
    try {
        std::thread([time, code] {
            std::this_thread::sleep_for(time);
            std::_Exit(code);
        }).detach();
    } catch (const std::exception&) {  // no thread, or no memory for one: then it takes as long as it takes
    }
}

void await_last_tasks(runtime::Scheduler& scheduler, int code) {
    const runtime::Time deadline = runtime::now() + kLeft;
    while (runtime::counters(scheduler).live > 1) {
        if (runtime::now() > deadline) std::_Exit(code);
        runtime::this_task::sleep_for(kLookAgain);
    }
}

void end_soon(int code) {
    for (const int signal : kSignals) ::signal(signal, SIG_IGN);
    end_within(kLeft, code);
}

}  // namespace sluice
