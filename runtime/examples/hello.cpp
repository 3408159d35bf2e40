// Two tasks say hello and world in turns: all that a program needs of runtime/.
#include <chrono>
#include <iostream>

#include "runtime/channel.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"

using namespace sluice::runtime;
using namespace std::chrono_literals;

int main() {
    Scheduler scheduler({.workers = 2});
    scheduler.run([] {
        Channel<const char*> words;
        go([&] {
            for (int i = 0; i < 5; ++i) words.send(i % 2 == 0 ? "hello" : "world");
            words.close();
        });
        for (const char* word : words) {
            this_task::sleep_for(1ms);
            std::cout << word << '\n';
        }
    });
}
