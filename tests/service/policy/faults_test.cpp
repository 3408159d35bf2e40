// A hundred thousand faults while requests are in flight or wait for their turn: clients that hang up,
// upstreams that fail, tasks that are cancelled, reloads. Real tasks, in virtual time. Whatever happens, no
// place is lent twice, and none is left behind.

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/policy/slots.h"
#include "service/policy/turn.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
namespace this_task = runtime::this_task;
using Kind = Verdict::Kind;

constexpr std::uint64_t kClients = 6;
constexpr std::array<std::string_view, 2> kStay{"each", "all"};

enum Fault { kHungUp, kUpstreamFailed, kCancelled, kReloaded, kFaults };

struct UpstreamFailed {};

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : source_(seed) {}
    std::uint64_t operator()(std::uint64_t sides) { return source_() % sides; }
    bool one_in(std::uint64_t n) { return (*this)(n) == 0; }

  private:
    std::mt19937_64 source_;
};

config::Limit places(std::string name, std::uint64_t max, bool delays) {
    config::Limit limit{.name = std::move(name), .algorithm = config::Algorithm::concurrency, .max = max};
    if (limit.name == "all") limit.key = {{config::KeyKind::global, ""}};
    if (delays) limit.action = config::Action::delay;
    limit.max_delay = 300ms;
    return limit;
}

/// Who sends a request, and may leave before it is answered.
struct Caller {
    runtime::Semaphore hung_up{0};
    bool left = false;

    void hang_up() {
        left = true;
        hung_up.release();
    }
};

/// A service: what outlives configurations, the one in force, and requests that run into faults.
class Service {
  public:
    Service(std::uint64_t seed, std::uint64_t clients_max) : dice_(seed), ledger_(clients_max, 1) {
        reload();
    }

    void reload() {
        std::vector<config::Limit> limits{places("each", 1 + dice_(3), dice_.one_in(2)),
                                          places("all", 4 + dice_(8), dice_.one_in(2)),
                                          limit_of("rate", 50, 1s, 100)};
        if (dice_.one_in(4)) limits.erase(limits.begin() + static_cast<std::ptrdiff_t>(dice_(2)));
        if (dice_.one_in(2)) limits.push_back(new_limit());
        if (dice_.one_in(3)) std::swap(limits.front(), limits.back());
        snapshot_ = std::make_shared<const Snapshot>(ledger_, std::move(limits));
        if (flying_ > 0) ++faults[kReloaded];
    }

    /// Some requests of one connection of another proxy, say: cancelled all at once, if they are.
    void batch() {
        ++batches_;
        all_.add();
        runtime::go([this] {
            std::deque<Caller> callers(1 + dice_(8));
            runtime::TaskGroup group;
            for (Caller& caller : callers) group.go([this, &caller] { request(caller); });
            for (std::uint64_t i = dice_(4); i > 0; --i) {
                this_task::sleep_for(dice_(60) * 1ms);
                callers[dice_(callers.size())].hang_up();
            }
            if (dice_.one_in(3)) group.cancel();
            group.wait();
            --batches_;
            all_.done();
        });
    }

    void wait_for_all() { all_.wait(); }
    std::uint64_t batches() const { return batches_; }
    Dice& dice() { return dice_; }

    /// Of a limit, over all clients; 0: all that it lends is there.
    std::uint64_t left_behind(config::Limit limit) {
        limit.max = 100;
        const Snapshot snapshot(ledger_, {std::move(limit)});
        std::uint64_t left = 0;
        for (std::uint64_t client = 0; client < kClients; ++client) {
            const Head head;
            const Verdict told = explain(snapshot.policy, ledger_.table, {head.head, "", address_of(client)},
                                         0, runtime::now().time_since_epoch().count());
            left += 100 - 1 - told.applied()[0].answer.remaining;
        }
        return left;
    }
    const std::deque<std::string>& names() const { return names_; }

    std::array<std::uint64_t, kFaults> faults{};
    std::uint64_t ended_well = 0, refused = 0, tunnels = 0, shared = 0, lent_twice = 0;

  private:
    struct Snapshot {
        Snapshot(Ledger& ledger, std::vector<config::Limit> limits)
            : policy((config.limits = std::move(limits), config), ledger) {}
        config::Config config;
        const Policy policy;
    };

    static Address address_of(std::uint64_t client) {
        return address("192.0." + std::to_string(client % 2) + "." + std::to_string(client));
    }

    config::Limit new_limit() {
        names_.push_back("new-" + std::to_string(made_++));
        if (names_.size() > 30) names_.pop_front();
        return places(names_.back(), 1 + dice_(4), dice_.one_in(2));
    }

    /// What is in flight, as it is to be, so long as it lives.
    class Counted {
      public:
        Counted(Service& service, const Verdict& verdict, std::uint64_t client) : service_(service) {
            ++service.flying_;
            for (const Applied& each : verdict.applied()) {
                if (each.slot.cost == 0) continue;
                service.shared += each.slot.shared;
                const std::string& name = each.limit->settings.name;
                keys_.push_back(name + (name == "all" ? "" : std::to_string(client)));
                service.lent_twice += ++service.in_flight_[keys_.back()] > each.limit->settings.max;
            }
        }
        Counted(Counted&& other) noexcept : service_(other.service_), keys_(std::move(other.keys_)) {
            ++service_.flying_;
        }
        ~Counted() {
            --service_.flying_;
            for (const std::string& key : keys_) --service_.in_flight_[key];
        }

      private:
        Service& service_;
        std::vector<std::string> keys_;
    };

    void request(Caller& caller) try { exchange(caller); } catch (const UpstreamFailed&) {
        ++faults[kUpstreamFailed];
    }

    void exchange(Caller& caller) {
        const auto snapshot = snapshot_;
        const std::uint64_t client = dice_(kClients);
        const Head head;
        Verdict verdict = decide(snapshot->policy, ledger_.table, {head.head, "", address_of(client)}, 0,
                                 runtime::now().time_since_epoch().count(), &room_);
        Slots slots(ledger_.table, room_, verdict);
        if (verdict.kind == Kind::delayed) {
            bool held = false;
            const auto ended = [&] { return caller.left ? std::optional(Turn::gone) : std::nullopt; };
            if (await_turn(ledger_.table, room_, verdict, address_of(client), ended, held) == Turn::gone) {
                ++faults[this_task::cancelled() ? kCancelled : kHungUp];
                return;
            }
        }
        if (verdict.kind != Kind::admitted) {
            ++refused;
            return;
        }
        Counted counted(*this, verdict, client);
        const auto fate = dice_(10);
        if (fate == 0) return become_tunnel(slots.keep(), std::move(counted));
        if (caller.hung_up.try_acquire_until(runtime::now() + dice_(100) * 1ms)) {
            ++faults[kHungUp];
        } else if (this_task::cancelled()) {
            ++faults[kCancelled];
        } else if (fate < 5) {
            throw UpstreamFailed();
        } else {
            ++ended_well;
        }
    }

    void become_tunnel(KeptSlots slots, Counted counted) {
        ++tunnels;
        all_.add();
        runtime::go([this, slots = std::move(slots), counted = std::move(counted),
                     lasts = dice_(300) * 1ms]() mutable {
            {
                const KeptSlots held(std::move(slots));
                const Counted flies(std::move(counted));
                this_task::sleep_for(lasts);
            }
            all_.done();
        });
    }

    Dice dice_;
    Ledger ledger_;
    limit::WaitingRoom room_;
    std::shared_ptr<const Snapshot> snapshot_;
    runtime::WaitGroup all_;
    std::map<std::string, std::uint64_t> in_flight_;
    std::uint64_t flying_ = 0, batches_ = 0, made_ = 0;
    std::deque<std::string> names_;
};

class FaultsTest : public runtime::InVirtualTime {};

TEST_F(FaultsTest, AHundredThousandLeaveNoPlaceBehindAndNoneIsLentTwice) {
    constexpr std::uint64_t kWanted = 100'000, kSeeds = 10;
    std::array<std::uint64_t, kFaults> faults{};
    std::uint64_t all = 0, ended_well = 0, refused = 0, tunnels = 0, shared = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed)
        run([&] {
            Service service(seed, seed % 3 == 0 ? 1000 : 2 + seed);  // most of them too small
            while (all < kWanted * seed / kSeeds) {
                if (service.batches() < 6) service.batch();
                this_task::sleep_for(service.dice()(30) * 1ms);
                const std::uint64_t before = std::accumulate(faults.begin(), faults.end(), std::uint64_t{0});
                if (service.dice().one_in(2)) service.reload();
                all =
                    before + std::accumulate(service.faults.begin(), service.faults.end(), std::uint64_t{0});
            }
            service.wait_for_all();
            EXPECT_EQ(service.lent_twice, 0U) << seed;
            for (const std::string_view name : kStay)
                EXPECT_EQ(service.left_behind(places(std::string(name), 1, false)), 0U)
                    << seed << ' ' << name;
            for (const std::string& name : service.names())
                EXPECT_EQ(service.left_behind(places(name, 1, false)), 0U) << seed << ' ' << name;
            for (std::size_t i = 0; i < kFaults; ++i) faults[i] += service.faults[i];
            ended_well += service.ended_well, refused += service.refused;
            tunnels += service.tunnels, shared += service.shared;
        });
    EXPECT_GE(all, kWanted);
    for (std::size_t i = 0; i < kFaults; ++i) EXPECT_GT(faults[i], 5000U) << i;
    EXPECT_GT(ended_well, 5000U);
    EXPECT_GT(refused, 5000U);
    EXPECT_GT(tunnels, 5000U);
    EXPECT_GT(shared, 5000U);
}

}  // namespace
}  // namespace sluice::policy
