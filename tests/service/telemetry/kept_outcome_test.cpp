#include "service/telemetry/kept_outcome.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::telemetry {
namespace {

TEST(KeptOutcome, OutlivesTheTextsItWasMadeOf) {
    std::string client = "192.0.2.7", target = "/chat", host = "a.example", server = "127.0.0.1:3000";
    RequestOutcome outcome{.client = client, .host = host, .target = target, .status = 101, .server = server};
    KeptOutcome kept(outcome);
    for (std::string* text : {&client, &target, &host, &server}) text->assign(text->size(), '!');
    EXPECT_EQ(kept.outcome().client, "192.0.2.7");
    EXPECT_EQ(kept.outcome().target, "/chat");
    EXPECT_EQ(kept.outcome().host, "a.example");
    EXPECT_EQ(kept.outcome().server, "127.0.0.1:3000");
    EXPECT_EQ(kept.outcome().status, 101);
    EXPECT_FALSE(kept.outcome().route);
}

TEST(KeptOutcome, KeepsNoMoreOfATextThanIsShown) {
    const std::string target(60'000, 'x');
    const RequestOutcome outcome{.target = target};
    EXPECT_EQ(KeptOutcome(outcome).outcome().target.size(), 2048U);
}

}  // namespace
}  // namespace sluice::telemetry
