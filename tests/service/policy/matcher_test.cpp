#include "service/policy/matcher.h"

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;

bool matches(const config::Match& match, const std::string& path) {
    const Head head("GET " + path + " HTTP/1.1");
    return Matcher(match).matches({head.head, "", address("192.0.2.1")});
}

// A limit on a path is one on whatever an upstream may take for it.
TEST(Matcher, APathIsMatchedHoweverItIsSpelled) {
    for (const char* path :
         {"/login", "/%6Cogin", "//login", "/./login", "/x/../login", "/login?x=/..", "/%2e/login"}) {
        EXPECT_TRUE(matches({.path = "/login"}, path)) << path;
        EXPECT_TRUE(matches({.path_prefix = "/log"}, path)) << path;
        EXPECT_TRUE(matches({.path_regex = "^/log[a-z]+$"}, path)) << path;
    }
    for (const char* path : {"/login/", "/Login", "/%256Cogin", "/login/../x", "/login%20"})
        EXPECT_FALSE(matches({.path = "/login"}, path)) << path;
}

TEST(Matcher, ARuleMayBeSpelledInAnyWayToo) {
    EXPECT_TRUE(matches({.path = "/a%20b"}, "/a%20b"));
    EXPECT_TRUE(matches({.path = "/%6Cogin"}, "/login"));
    EXPECT_TRUE(matches({.path_prefix = "/%61pi/"}, "/api/x"));
    EXPECT_FALSE(matches({.path_prefix = "/api/"}, "/api/../admin")) << "what leads out of it is not in it";
}

}  // namespace
}  // namespace sluice::policy
