// Who gives way to a newcomer when there are as many connections as there may be.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/service/admin/running_server.h"

namespace sluice::admin {
namespace {

using namespace test;
using ::testing::StartsWith;

TEST_P(AdminServer, WhoIdlesLongestGivesWayToANewcomer) {
    with_server({.connections_max = 2}, [](Server& server) {
        Client one(server), two(server), three(server);
        EXPECT_EQ(one.read_all(), "");
        for (Client* client : {&two, &three}) {
            client->send("GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            EXPECT_THAT(client->read_all(), StartsWith("HTTP/1.1 200 "));
        }
    });
}

// Its client has the answer a moment before, in which newcomers are told 503.
TEST_P(AdminServer, AConnectionIdlesAgainBehindItsAnswer) {
    with_server({.connections_max = 1}, [](Server& server) {
        Client answered(server);
        answered.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        answered.read_until("open\n");
        while (!answered.ended()) const Client newcomer(server);
    });
}

TEST_P(AdminServer, AReloadThatAllowsFewerEndsThoseThatIdleLongest) {
    with_server({.connections_max = 3}, [](Server& server) {
        Client one(server), two(server), three(server);
        three.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        three.read_until("open\n");  // so the others have been let in
        server.set_connections_max(1);
        EXPECT_EQ(one.read_all(), "");
        EXPECT_EQ(two.read_all(), "");
        three.send("GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        EXPECT_THAT(three.read_all(), StartsWith("HTTP/1.1 200 "));
    });
}

TEST_P(AdminServer, AStreamGivesWayWhereNobodyIdles) {
    with_server({.connections_max = 1}, [](Server& server) {
        Client streaming(server);
        streaming.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        streaming.read_until("begun\n");
        Client probe(server);
        probe.send("GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        EXPECT_THAT(probe.read_all(), StartsWith("HTTP/1.1 200 "));
        EXPECT_EQ(streaming.read_all(), "");
    });
}

TEST_P(AdminServer, TurnsAwayWhoComesWhileAllConnectionsAreAnswered) {
    with_server({.connections_max = 2}, [this](Server& server) {
        Client one(server), two(server);
        for (Client* client : {&one, &two}) {
            client->send("GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            held_.acquire();
        }
        Client three(server);
        EXPECT_THAT(three.read_all(), StartsWith("HTTP/1.1 503 "));
        go_on_.release(2);
        for (Client* client : {&one, &two}) EXPECT_THAT(client->read_all(), StartsWith("HTTP/1.1 200 "));
    });
}

}  // namespace
}  // namespace sluice::admin
