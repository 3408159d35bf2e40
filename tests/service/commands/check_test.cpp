#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "service/commands/commands.h"
#include "service/commands/expression.h"

namespace sluice::commands {
namespace {

struct Checked {
    int code;
    std::string out, err;
};

Checked checked(const std::string& text) {
    const std::string path = testing::TempDir() + "check_test.json";
    std::ofstream(path) << text;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = check(path);
    std::fflush(stdout);
    const std::string out = testing::internal::GetCapturedStdout();
    return {code, out, testing::internal::GetCapturedStderr()};
}

TEST(Check, SaysOkToAGoodFile) {
    const Checked good = checked(R"({ "upstream": "127.0.0.1:3000" })");
    EXPECT_EQ(good.code, kFine);
    EXPECT_EQ(good.out, "ok\n");
    EXPECT_EQ(good.err, "");
}

TEST(Check, WritesALineForEachError) {
    const Checked bad = checked("{\n \"upstream\": \"a:1\",\n \"limts\": [], \"deny\": [ \"x\" ] }");
    EXPECT_EQ(bad.code, kFailed);
    EXPECT_EQ(bad.out, "");
    const std::string path = testing::TempDir() + "check_test.json";
    EXPECT_EQ(bad.err, path + ":3:2: /limts: unknown key \"limts\"; did you mean \"limits\"?\n" + path +
                           ":3:25: /deny/0: \"x\" is not an address block (such as \"10.0.0.0/8\", "
                           "\"2001:db8::/32\" or \"192.0.2.7\")\n");
}

TEST(Check, JudgesExpressionsAsTheMatcherDoes) {
    EXPECT_FALSE(wrong_expression("^/v[0-9]+/(a|b)$"));
    EXPECT_EQ(wrong_expression("/v[0-9"), "missing ]: [0-9");
    EXPECT_TRUE(wrong_expression("(a)\\1")) << "RE2 has no back references";
    const Checked bad = checked(
        "{ \"upstream\": \"a:1\", \"limits\": [ { \"rate\": \"1/s\",\n \"match\": { \"path_regex\": \"(\" } "
        "} ] }");
    EXPECT_EQ(bad.err,
              testing::TempDir() +
                  "check_test.json:2:27: /limits/0/match/path_regex: \"(\" is not a regular expression "
                  "(missing ): ()\n");
}

}  // namespace
}  // namespace sluice::commands
