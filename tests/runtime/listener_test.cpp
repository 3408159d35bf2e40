#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/error.hpp>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/inspect.h"
#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class ListenerTest : public OnWorkers {};
ON_WORKERS(ListenerTest);
class ListenerInVirtualTime : public InVirtualTime {};

TEST_P(ListenerTest, CloseFromAThreadEndsAcceptForGood) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        std::jthread closer([&] { listener.close(); });
        EXPECT_EQ(listener.accept().error(), asio::error::operation_aborted);
        EXPECT_EQ(listener.accept().error(), asio::error::operation_aborted);
        EXPECT_EQ(TcpStream::connect(listener.local(), now() + 30s).error(), asio::error::connection_refused);
    });
}

TEST_P(ListenerTest, WhoWasQueuedBeforeCloseIsStillAccepted) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        std::vector<TcpStream> clients;
        for (int i = 0; i < 5; ++i)
            clients.push_back(TcpStream::connect(listener.local(), now() + 30s).value());
        listener.close();
        for (int i = 0; i < 5; ++i) EXPECT_TRUE(listener.accept().has_value());
        EXPECT_EQ(listener.accept().error(), asio::error::operation_aborted);
    });
}

TEST_P(ListenerTest, AfterCloseItEndsEvenWhileMoreCome) {
    run([] {
        constexpr int kBacklog = 8;
        auto listener = TcpListener::bind(loopback(0), {.backlog = kBacklog}).value();
        std::vector<TcpStream> clients;
        const auto connect = [&] {
            clients.push_back(TcpStream::connect(listener.local(), now() + 30s).value());
        };
        connect();
        listener.close();
        int accepted = 0;
        for (; accepted < 1000 && listener.accept(); ++accepted) connect();
        EXPECT_GE(accepted, 1);
        EXPECT_LE(accepted, kBacklog);
    });
}

// One is taken for each event, and all that are there now and then: whichever it is, none may be forgotten.
TEST_P(ListenerTest, NobodyIsForgottenHoweverManyComeAtOnce) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        for (int many = 1; many <= 24; ++many) {
            WaitGroup taken;
            taken.add();
            go([&] {
                for (int i = 0; i < many; ++i) EXPECT_TRUE(listener.accept().has_value());
                taken.done();
            });
            std::vector<TcpStream> clients;
            for (int i = 0; i < many; ++i)
                clients.push_back(TcpStream::connect(listener.local(), now() + 30s).value());
            taken.wait();
        }
    });
}

std::uint64_t polls() {
    return counters(*Scheduler::current()).polls;
}

// A worker looks at its sockets once for each sleep, and some more for what goes on beside.
void expect_workers_asleep_for(Duration time) {
    const std::uint64_t before = polls();
    this_task::sleep_for(time);
    EXPECT_LE(polls() - before, 200U)
        << "somebody finds a listener that nobody accepts from, again and again";
}

TEST_P(ListenerTest, WhereNobodyAcceptsAnyMoreTheWorkersSleep) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        TaskGroup group;
        group.go([&] {
            while (listener.accept()) {
            }
        });
        auto client = TcpStream::connect(listener.local(), now() + 30s).value();
        listener.close();
        group.wait();
        expect_workers_asleep_for(100ms);
    });
}

TEST_P(ListenerTest, WhereWhoAcceptsIsCancelledTheWorkersSleep) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        TaskGroup group;
        Semaphore accepted(0);
        group.go([&] {
            while (listener.accept()) accepted.release();
        });
        auto first = TcpStream::connect(listener.local(), now() + 30s).value();
        accepted.acquire();
        group.cancel();
        group.wait();
        auto left = TcpStream::connect(listener.local(), now() + 30s).value();
        expect_workers_asleep_for(100ms);
        EXPECT_TRUE(listener.accept().has_value()) << "and it is still there";
    });
}

TEST_P(ListenerTest, WhoCameWhileNobodyAcceptedIsAcceptedAfterwards) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        std::vector<TcpStream> clients;
        const auto connect = [&](int count) {
            for (int i = 0; i < count; ++i)
                clients.push_back(TcpStream::connect(listener.local(), now() + 30s).value());
        };
        for (int round = 0; round < 3; ++round) {
            TaskGroup group;
            Semaphore accepted(0);
            group.go([&] {
                while (listener.accept()) accepted.release();
            });
            for (int left = round == 0 ? 0 : 20; left > 0; --left) accepted.acquire();
            connect(2);
            for (int i = 0; i < 2; ++i) accepted.acquire();
            group.cancel();
            group.wait();
            connect(20);
            expect_workers_asleep_for(20ms);
        }
    });
}

// The watcher then looks at their sockets for them.
TEST(Listener, WhereAllWorkersAreStuckWhoWaitsCostsNothing) {
    TimedScheduler({.workers = 2}).run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        TaskGroup group;
        Semaphore accepted(0);
        group.go([&] {
            while (listener.accept()) accepted.release();
        });
        const Endpoint port = listener.local();
        std::vector<int> clients;
        const auto connect = [&] {
            clients.push_back(::socket(AF_INET, SOCK_STREAM, 0));
            EXPECT_EQ(::connect(clients.back(), port.data(), static_cast<socklen_t>(port.size())), 0);
        };
        for (int i = 0; i < 3; ++i) {
            connect();
            accepted.acquire();
        }
        std::atomic<bool> stuck{false};
        group.go([&] {
            stuck = true;
            std::this_thread::sleep_for(300ms);
        });
        while (!stuck) this_task::yield();
        connect();
        const std::clock_t before = std::clock();
        std::this_thread::sleep_for(300ms);
        EXPECT_LE(std::clock() - before, CLOCKS_PER_SEC / 10);
        accepted.acquire();
        listener.close();
        group.wait();
        for (const int each : clients) ::close(each);
    });
}

TEST_P(ListenerTest, PortInUseIsAnError) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        EXPECT_EQ(TcpListener::bind(listener.local()).error(), asio::error::address_in_use);
    });
}

TEST_P(ListenerTest, ReusePortLetsASuccessorShareThePort) {
    run([] {
        auto listener = TcpListener::bind(loopback(0), {.reuse_port = true}).value();
        auto successor = TcpListener::bind(listener.local(), {.reuse_port = true});
        ASSERT_TRUE(successor.has_value());
        EXPECT_EQ(successor->local(), listener.local());
    });
}

// One at a loopback address, and one on the same port at all addresses. A port that is free at the one may be
// another process's elsewhere; then the next.
std::pair<TcpListener, TcpListener> here_and_everywhere() {
    for (int attempt = 0; attempt < 100; ++attempt) {
        auto here = TcpListener::bind(loopback(0), {.reuse_port = true}).value();
        Endpoint port = here.local();
        reinterpret_cast<sockaddr_in*>(port.data())->sin_addr.s_addr = INADDR_ANY;
        if (auto everywhere = TcpListener::bind(port, {.reuse_port = true}))
            return {std::move(here), std::move(*everywhere)};
    }
    throw std::runtime_error("no port is free at all addresses");
}

// The kernel prefers the one for the address as long as it listens.
TEST_P(ListenerTest, OneThatIsDeafLeavesNewcomersToTheOtherAndTakesWhatHadBegun) {
    run([] {
        auto [deaf, other] = here_and_everywhere();
        const Endpoint port = deaf.local();
        auto before = TcpStream::connect(port, now() + 30s);
        deaf.turn_deaf();
        EXPECT_EQ(TcpStream::connect(port, now() + 50ms).error(), asio::error::timed_out) << "nor refused";
        EXPECT_TRUE(deaf.accept().has_value());
        WaitGroup ended;
        ended.add();
        go([&] {
            EXPECT_TRUE(TcpStream::connect(port, now() + 30s).has_value());
            ended.done();
        });
        deaf.close();
        EXPECT_EQ(deaf.accept().error(), asio::error::operation_aborted);
        EXPECT_TRUE(other.accept().has_value());
        ended.wait();
    });
}

TEST_P(ListenerTest, V6ListenerTakesV4ClientsUnlessToldNot) {
    run([] {
        using asio::ip::tcp;
        auto both = TcpListener::bind(tcp::endpoint(asio::ip::address_v6::any(), 0));
        if (!both && both.error() == asio::error::address_family_not_supported)
            GTEST_SKIP() << "no IPv6 here";
        const std::uint16_t port =
            ntohs(reinterpret_cast<const sockaddr_in6*>(both->local().data())->sin6_port);
        EXPECT_TRUE(TcpStream::connect(loopback(port), now() + 30s).has_value());
        auto only =
            TcpListener::bind(tcp::endpoint(asio::ip::address_v6::any(), 0), {.v6_only = true}).value();
        const std::uint16_t other =
            ntohs(reinterpret_cast<const sockaddr_in6*>(only.local().data())->sin6_port);
        EXPECT_FALSE(TcpStream::connect(loopback(other), now() + 30s).has_value());
    });
}

// In virtual time a listener that spun would keep the clock from ever moving on.
TEST_F(ListenerInVirtualTime, OutOfDescriptorsItWaitsAndGoesOn) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        auto client = TcpStream::connect(listener.local(), now() + 30s).value();
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        rlimit none = before;
        none.rlim_cur = 1;  // no descriptor below: none can be made
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        Time start = now();
        Time accepted{};
        WaitGroup group;
        group.add();
        go([&] {
            EXPECT_TRUE(listener.accept().has_value());
            accepted = now();
            group.done();
        });
        this_task::sleep_for(1s);
        EXPECT_EQ(accepted, Time{});
        ::setrlimit(RLIMIT_NOFILE, &before);
        group.wait();
        EXPECT_GE(accepted - start, 1s);
        EXPECT_LE(accepted - start, 2s);
    });
}

TEST_P(ListenerTest, OutOfDescriptorsTheWorkersSleep) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        std::vector<TcpStream> accepted;
        WaitGroup two;
        two.add(2);
        go([&] {
            for (int i = 0; i < 2; ++i) {
                accepted.push_back(listener.accept().value());
                two.done();
            }
        });
        auto first = TcpStream::connect(listener.local(), now() + 30s).value();
        const Endpoint port = listener.local();
        const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        rlimit none = before;
        none.rlim_cur = 1;
        while (accepted.empty()) this_task::yield();
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        EXPECT_EQ(::connect(descriptor, port.data(), static_cast<socklen_t>(port.size())), 0);
        expect_workers_asleep_for(100ms);
        ::setrlimit(RLIMIT_NOFILE, &before);
        two.wait();
        ::close(descriptor);
    });
}

TEST_F(ListenerInVirtualTime, AcceptEndsAtTheTasksDeadline) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        const Time began = now();
        const this_task::DeadlineScope within(began + 500ms);
        for (int i = 0; i < 2; ++i) EXPECT_EQ(listener.accept().error(), asio::error::timed_out);
        EXPECT_GE(now() - began, 500ms);
    });
}

}  // namespace
}  // namespace sluice::runtime
