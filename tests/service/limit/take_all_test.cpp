// Several charges of one request: all, or none.

#include <array>
#include <cstdint>
#include <new>

#include <gtest/gtest.h>

#include "runtime/sanitizer.h"
#include "service/limit/client_table.h"
#include "tests/failing_new.h"
#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

TEST(TakeAll, OneThatRefusesSparesAllAndOneThatMayNotIsPassedOver) {
    ClientTable table(1000);
    const Rule one = Bucket(1, 1h, 1), three = Bucket(1, 1h, 3);
    const auto charge = [&](bool tight_may_refuse) {
        std::array charges{ClientTable::Charge{client(1), 0, &three, 1, true},
                           ClientTable::Charge{client(1), 1, &one, 1, tight_may_refuse},
                           ClientTable::Charge{client(2), 2, &three, 2, true}};
        table.take_all(charges, kNow);
        return charges;
    };
    auto charges = charge(true);
    for (const auto& each : charges) EXPECT_TRUE(each.asked && each.answer.admitted);
    charges = charge(true);
    EXPECT_TRUE(charges[0].answer.admitted);
    EXPECT_FALSE(charges[1].answer.admitted);
    EXPECT_FALSE(charges[2].asked);
    EXPECT_EQ(table.peek(client(1), 0, three, 0, kNow).remaining, 2U);
    EXPECT_EQ(table.peek(client(2), 2, three, 0, kNow).remaining, 1U);
    EXPECT_EQ(table.find(client(1), 0)->allowed, 1U);
    EXPECT_EQ(table.find(client(1), 1)->denied, 1U);
    charges = charge(false);
    EXPECT_FALSE(charges[1].answer.admitted);
    EXPECT_FALSE(charges[2].answer.admitted);
    EXPECT_EQ(table.peek(client(1), 0, three, 0, kNow).remaining, 2U);
}

TEST(TakeAll, InAFullTableTheSharedBucketsAreChargedAllOrNone) {
    ClientTable table(4);
    for (std::uint32_t n = 0; n < 4; ++n) table.take(client(n), 9, kHundredAnHour, 1, kNow);
    const Rule two = Bucket(1, 1h, 2), five = Bucket(1, 1h, 5);
    int admitted = 0;
    for (std::uint32_t n = 10; n < 30; ++n) {
        std::array charges{ClientTable::Charge{client(n), 0, &five, 1, true},
                           ClientTable::Charge{client(n), 1, &two, 1, true}};
        table.take_all(charges, kNow);
        admitted += charges[1].asked && charges[1].answer.admitted;
    }
    EXPECT_EQ(admitted, 2);
    EXPECT_EQ(table.peek(client(50), 0, five, 0, kNow).remaining, 3U);
}

TEST(TakeAll, ChargesOfOneRequestDoNotPushEachOtherOut) {
    const Rule three = Bucket(1, 1h, 3);
    for (std::uint64_t max = 1; max <= 8; ++max) {
        ClientTable table(max);
        int admitted = 0;
        for (int i = 0; i < 20; ++i) {
            std::array<ClientTable::Charge, 8> charges{};
            for (std::size_t l = 0; l < charges.size(); ++l)
                charges[l] = {client(1), static_cast<LimitId>(l), &three, 1, true};
            table.take_all(charges, kNow);
            admitted += charges.back().asked && charges.back().answer.admitted;
            ASSERT_LE(table.stats().tracked, max);
        }
        EXPECT_EQ(admitted, 3) << max;
    }
}

// The first bucket that a limit shares among newcomers takes memory, while the request's other entries are in
// the middle of the decision.
TEST(TakeAll, WithoutMemoryNothingIsSpentAndNothingStays) {
    if (runtime::kTsan) GTEST_SKIP() << "memory does not run out here";
    const Rule known = Bucket(1, 1h, 3), slots = InFlight(1), fresh = Bucket(1, 1h, 2);
    for (int n = 1; n <= 2; ++n) {
        ClientTable table(3);
        Slot slot;
        table.take(client(1), 0, known, 1, kNow);
        table.take(client(1), 1, slots, 1, kNow, &slot);
        table.take(client(2), 9, kHundredAnHour, 1, kNow);
        const State before = table.find(client(1), 0)->state;
        std::array charges{ClientTable::Charge{client(1), 0, &known, 1, true},
                           ClientTable::Charge{client(1), 1, &slots, 1, false},
                           ClientTable::Charge{client(1), 2, &fresh, 1, true}};
        sluice::test::allocations_left = n;
        EXPECT_THROW(table.take_all(charges, kNow), std::bad_alloc);
        sluice::test::allocations_left = 0;
        EXPECT_EQ(table.find(client(1), 0)->state, before);
        EXPECT_FALSE(table.peek(client(1), 1, slots, 1, kNow).admitted) << "one is in flight";
        table.release(client(1), 1, slot);
        EXPECT_TRUE(table.peek(client(1), 1, slots, 1, kNow).admitted);
        table.take_all(charges, kNow);
        EXPECT_TRUE(charges.back().asked && charges.back().answer.admitted) << "the locks are free";
    }
}

}  // namespace
}  // namespace sluice::limit
