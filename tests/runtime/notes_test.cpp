// Three programs that show goroutines, in C++ on our tasks: two voices, a janitor, a closure.

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/mutex.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
using testing::Test;

class Notes : public InVirtualTime {};
class NotesOnWorkers : public OnWorkers {};
ON_WORKERS(NotesOnWorkers);

//  func say(s string) { for i := 0; i < 5; i++ { time.Sleep(100 * time.Millisecond); fmt.Println(s) } }
//  func main() { go say("world"); say("hello") }
TEST_F(Notes, TwoTasksSayHelloAndWorldInTurns) {
    std::vector<std::string> said;
    Duration took{};
    run([&] {
        auto say = [&said](std::string_view word) {
            for (int i = 0; i < 5; ++i) {
                this_task::sleep_for(100ms);
                said.emplace_back(word);
            }
        };
        Time start = now();
        go(say, "world");
        say("hello");
        took = now() - start;
    });
    ASSERT_EQ(said.size(), 10U);
    for (std::size_t turn = 0; turn < said.size(); turn += 2) {
        EXPECT_NE(said[turn], said[turn + 1]) << "in turn " << turn / 2;
    }
    EXPECT_EQ(took, 500ms);
}

// Every minute, a background task forgets the clients that were not seen for three minutes.
TEST_F(Notes, BackgroundTaskDeletesClientsNotSeenForThreeMinutes) {
    struct Client {
        Time last_seen;
    };
    std::vector<std::size_t> left_after_each_minute;
    run([&] {
        std::unordered_map<std::string, Client> clients;
        Mutex mutex;
        bool stop = false;
        go([&] {
            while (!stop) {
                this_task::sleep_for(1min);
                std::lock_guard lock(mutex);
                std::erase_if(clients,
                              [](const auto& entry) { return now() - entry.second.last_seen > 3min; });
            }
        });
        auto see = [&](const std::string& address) {
            std::lock_guard lock(mutex);
            clients[address].last_seen = now();
        };
        see("10.0.0.1");
        see("10.0.0.2");
        this_task::sleep_for(30s);
        see("10.0.0.3");
        for (int minute = 1; minute <= 6; ++minute) {
            this_task::sleep_for(1min);  // half a minute after each round of the janitor
            if (minute <= 2) see("10.0.0.2");
            std::lock_guard lock(mutex);
            left_after_each_minute.push_back(clients.size());
        }
        stop = true;
        this_task::sleep_for(1min);
    });
    // Seen last at 0:00, 0:30 and 2:30; gone with the first round more than three minutes later: 4:00, 4:00,
    // 6:00.
    EXPECT_EQ(left_after_each_minute, (std::vector<std::size_t>{3, 3, 3, 1, 1, 0}));
}

//  var wg sync.WaitGroup; salutation := "hello"
//  wg.Add(1); go func() { defer wg.Done(); salutation = "welcome" }(); wg.Wait()
TEST_P(NotesOnWorkers, ClosureChangesTheStringOfItsParent) {
    run([] {
        std::string salutation = "hello";
        WaitGroup group;
        group.add(1);
        go([&] {
            salutation += ", world";
            group.done();
        });
        group.wait();
        EXPECT_EQ(salutation, "hello, world");
    });
}

}  // namespace
}  // namespace sluice::runtime
