// For gdb_test.py: tasks that wait for different things, and then a breakpoint.

#include <chrono>
#include <csignal>

#include "runtime/channel.h"
#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"

using namespace sluice::runtime;

namespace {

[[gnu::noinline]] void wait_for_a_word(Channel<int>& words) {
    words.receive();
    asm volatile("");
}

}  // namespace

int main() {
    Scheduler scheduler({.workers = 1});
    scheduler.run([] {
        Channel<int> words;
        for (int i = 0; i < 2; ++i) go([&] { wait_for_a_word(words); });
        go([] { this_task::sleep_for(std::chrono::hours(1)); });
        this_task::sleep_for(std::chrono::milliseconds(1));
        std::raise(SIGTRAP);
    });
}
