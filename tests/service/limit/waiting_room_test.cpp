#include "service/limit/waiting_room.h"

#include <memory>
#include <vector>

#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using namespace std::chrono_literals;

TEST(WaitingRoom, LinesOfClientsAndOfLimitsAreApart) {
    WaitingRoom room;
    const WaitingRoom::Place one(room, client(1), 0, 1), other(room, client(2), 0, 1),
        limit(room, client(1), 1, 1);
    EXPECT_TRUE(one.first() && other.first() && limit.first());
    EXPECT_TRUE(room.anyone(client(1), 0) && room.anyone(client(2), 0) && room.anyone(client(1), 1));
    EXPECT_FALSE(room.anyone(client(2), 1) || room.anyone(client(3), 0));
}

TEST(WaitingRoom, WhoLeavesLetsThoseBehindMoveUp) {
    WaitingRoom room;
    std::vector<std::unique_ptr<WaitingRoom::Place>> line;
    for (std::uint64_t cost = 1; cost <= 4; ++cost)
        line.push_back(std::make_unique<WaitingRoom::Place>(room, client(1), 0, cost));
    EXPECT_EQ(line[3]->ahead(), 6U);
    line[1].reset();
    EXPECT_EQ(line[3]->ahead(), 4U);
    EXPECT_EQ(line[2]->ahead(), 1U);
    EXPECT_FALSE(line[2]->first());
    line[0].reset();
    EXPECT_TRUE(line[2]->first());
    line[3].reset();
    EXPECT_TRUE(room.anyone(client(1), 0));
    line[2].reset();
    EXPECT_FALSE(room.anyone(client(1), 0));
}

class WaitingRoomTest : public runtime::InVirtualTime {};

TEST_F(WaitingRoomTest, TheFirstIsCalledWhenSomethingIsFreedAndTheNextWhenItLeaves) {
    run([] {
        WaitingRoom room;
        const runtime::Time began = runtime::now();
        std::vector<int> called;
        for (int n = 0; n < 3; ++n) {
            runtime::go([&, n] {
                WaitingRoom::Place place(room, client(1), 0, 1);
                while (!place.first()) place.wait(began + 1h);
                place.wait(began + 1h);
                called.push_back(n);
            });
            runtime::this_task::yield();
        }
        for (int n = 0; n < 3; ++n) {
            runtime::this_task::sleep_for(1s);
            EXPECT_EQ(called.size(), static_cast<std::size_t>(n));
            room.freed(client(1), 0);
        }
        runtime::this_task::sleep_for(1s);
        EXPECT_EQ(called, (std::vector<int>{0, 1, 2}));
        EXPECT_EQ(runtime::now() - began, 4s) << "nobody waited for the hour";
    });
}

}  // namespace
}  // namespace sluice::limit
