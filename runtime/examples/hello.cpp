// Two tasks say hello and world in turns: all that a program needs of runtime/.
#include <iostream>

#include "runtime/channel.h"
#include "runtime/scheduler.h"

using namespace sluice::runtime;

int main() {
    Scheduler scheduler({.workers = 2});
    scheduler.run([] {
        Channel<const char*> words;
        go([&] {
            for (int i = 0; i < 5; ++i) words.send(i % 2 == 0 ? "hello" : "world");
            words.close();
        });
        for (const char* word : words) std::cout << word << '\n';
    });
}
