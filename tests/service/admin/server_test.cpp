#include "service/admin/server.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/this_task.h"
#include "tests/service/admin/running_server.h"

namespace sluice::admin {
namespace {

using namespace test;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

INSTANTIATE_TEST_SUITE_P(Workers, AdminServer, ::testing::Values(1, 2, 8));

TEST_P(AdminServer, AnswersOneCallAfterTheOtherOnOneConnection) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(client.read_until("open\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
        client.send("GET /echo/a%2Fb?q=1+2 HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(client.read_until("a/b?1 2"), HasSubstr("Cache-Control: no-store\r\n"));
        client.send("GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
    });
}

TEST_P(AdminServer, AnswersCallsThatCameAllAtOnce) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
            "GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const std::string answers = client.read_all();
        EXPECT_THAT(answers, HasSubstr("<one>HTTP/1.1 200 OK\r\n"));
        EXPECT_THAT(answers, HasSubstr("<two>HTTP/1.1 200 OK\r\n"));
        EXPECT_THAT(answers, EndsWith("\r\n\r\nopen\n"));
    });
}

TEST_P(AdminServer, TakesACallInPieces) {
    with_server({}, [](Server& server) {
        Client client(server);
        for (const char c : std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok")) {
            client.send({&c, 1});
            runtime::this_task::yield();
        }
        EXPECT_THAT(client.read_until("<ok>"), StartsWith("HTTP/1.1 200"));
    });
}

TEST_P(AdminServer, SaysContinueToAClientThatWaitsForIt) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("ok");
        EXPECT_THAT(client.read_until("<ok>"), StartsWith("HTTP/1.1 200"));
    });
}

TEST_P(AdminServer, AnswersHeadWithoutABody) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("HEAD /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const std::string answer = client.read_all();
        EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
        EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
    });
}

TEST_P(AdminServer, SendsAnswersLargerThanAnyBuffer) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const std::string answer = client.read_all();
        EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 3'000'000U);
    });
}

TEST_P(AdminServer, RefusesWhatIsNoRequestAndCloses) {
    with_server({}, [](Server& server) {
        const std::string long_head =
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n";
        const std::string long_body =
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + std::string(99999, 'x');
        const std::pair<std::string, std::string> cases[] = {
            {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
            {"GET /echo/%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 "},
            {"GET /open?top=%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 "},
            {long_head, "HTTP/1.1 431 "},
            {long_body, "HTTP/1.1 413 "}};
        for (const auto& [call, start] : cases) {
            Client client(server);
            client.send(call);
            client.finish();
            EXPECT_THAT(client.read_all(), StartsWith(start));
        }
    });
}

TEST_P(AdminServer, AsksForTheTokenButForOpenCalls) {
    with_server({.token = "secret"}, [](Server& server) {
        const auto ask = [&](std::string fields, std::string path = "/echo/x") {
            Client client(server);
            client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + "\r\n");
            return client.read_all();
        };
        EXPECT_THAT(ask("", "/open"), StartsWith("HTTP/1.1 200 "));
        EXPECT_THAT(ask(""), StartsWith("HTTP/1.1 401 "));
        EXPECT_THAT(ask(""), HasSubstr("WWW-Authenticate: Bearer\r\n"));
        EXPECT_THAT(ask(""),
                    Not(HasSubstr("Basic")));  // which a browser would answer by itself, for any page
        EXPECT_THAT(ask("", "/none"), StartsWith("HTTP/1.1 401 "));
        EXPECT_THAT(ask("Authorization: Bearer wrong\r\n"), StartsWith("HTTP/1.1 401 "));
        EXPECT_THAT(ask("Authorization: Bearer secret\r\n"), StartsWith("HTTP/1.1 200 "));
        server.set_token("changed");
        EXPECT_THAT(ask("Authorization: Bearer secret\r\n"), StartsWith("HTTP/1.1 401 "));
        server.set_token("");
        EXPECT_THAT(ask(""), StartsWith("HTTP/1.1 200 "));
    });
}

TEST_P(AdminServer, ShowsThePageThatAsksForTheTokenToAllAs401) {
    with_server({.token = "secret"}, [](Server& server) {
        const auto ask = [&](std::string fields) {
            Client client(server);
            client.send("GET /door HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + "\r\n");
            return client.read_all();
        };
        EXPECT_THAT(ask(""), AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("WWW-Authenticate: Bearer\r\n"),
                                   EndsWith("knock")));
        EXPECT_THAT(ask("Authorization: Bearer secret\r\n"),
                    AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("knock")));
    });
}

TEST_P(AdminServer, LetsNoForeignPageChangeAnything) {
    with_server({}, [](Server& server) {
        const auto post = [&](std::string host, std::string fields) {
            Client client(server);
            client.send("POST /echo HTTP/1.1\r\nHost: " + host +
                        "\r\nContent-Length: 0\r\nConnection: close\r\n" + fields + "\r\n");
            return client.read_all();
        };
        EXPECT_THAT(post("127.0.0.1:1", "Origin: https://evil.example\r\n"), StartsWith("HTTP/1.1 403 "));
        EXPECT_THAT(post("127.0.0.1:1", "Origin: http://127.0.0.1:1\r\n"), StartsWith("HTTP/1.1 200 "));
        EXPECT_THAT(post("a:1", ""), StartsWith("HTTP/1.1 200 "));
        // A name that was made to point here.
        EXPECT_THAT(post("a:1", "Origin: http://a:1\r\n"), StartsWith("HTTP/1.1 403 "));
        server.set_token("secret");
        EXPECT_THAT(post("a:1", "Origin: http://a:1\r\nAuthorization: Bearer secret\r\n"),
                    StartsWith("HTTP/1.1 200 "));
    });
}

TEST_P(AdminServer, OutlivesAHandlerThatThrows) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("GET /throw HTTP/1.1\r\nHost: a\r\n\r\n");
        const std::string answer = client.read_until("}\n");
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
        EXPECT_EQ(nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n")))["detail"],
                  "broken \"inside\"");
        client.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(client.read_until("open\n"), StartsWith("HTTP/1.1 200 "));
    });
}

TEST_P(AdminServer, StreamsPiecesUntilTheHandlerEnds) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        const std::string answer = client.read_all();
        EXPECT_THAT(answer, HasSubstr("Content-Type: text/event-stream\r\n"));
        EXPECT_THAT(answer, EndsWith("\r\n\r\ndata: 0\n\ndata: 1\n\ndata: 2\n\n"));
    });
}

TEST_P(AdminServer, AStreamHearsAtOnceThatItsClientLeft) {
    with_server({}, [](Server& server) {
        Client client(server);
        client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(client.read_until("begun\n"), StartsWith("HTTP/1.1 200 "));
        client.finish();
        EXPECT_EQ(client.read_all(), "");
    });
}

TEST_P(AdminServer, AStreamEndsWhenTheServerCloses) {
    with_server({}, [](Server& server, auto finish) {
        Client client(server);
        client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("begun\n");
        finish();  // comes back long before the stream's own time
    });
}

TEST_P(AdminServer, GivesUpOnClientsThatStandStill) {
    with_server({.idle = 20ms, .receive = 20ms}, [](Server& server) {
        Client silent(server), slow(server);
        slow.send("GET /open HT");
        EXPECT_EQ(silent.read_all(), "");
        EXPECT_EQ(slow.read_all(), "");
    });
}

TEST_P(AdminServer, ClosesUnderItsClients) {
    with_server({}, [](Server& server, auto finish) {
        std::vector<Client> clients;
        for (int i = 0; i < 20; ++i) clients.emplace_back(server);
        for (Client& client : clients) client.send("GET /op");
        finish();
    });
}

}  // namespace
}  // namespace sluice::admin
