#include "service/admin/access.h"

#include <gtest/gtest.h>

namespace sluice::admin {
namespace {

TEST(Access, TakesTheTokenAsBearer) {
    EXPECT_TRUE(authorized("Bearer secret", "secret"));
    EXPECT_TRUE(authorized("bearer  secret", "secret"));
    for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearersecret",
                              "secret", "Token secret"}) {
        EXPECT_FALSE(authorized(wrong, "secret")) << wrong;
    }
}

TEST(Access, TakesTheTokenAsTheBasicPassword) {
    EXPECT_TRUE(authorized("Basic YWRtaW46c2VjcmV0", "secret"));  // admin:secret
    EXPECT_TRUE(authorized("Basic OnNlY3JldA==", "secret"));      // :secret
    EXPECT_FALSE(authorized("Basic c2VjcmV0", "secret"));         // no colon
    EXPECT_FALSE(authorized("Basic YWRtaW46", "secret"));         // admin:
    EXPECT_FALSE(authorized("Basic !!!!", "secret"));
}

TEST(Access, ComparesWhollyAndExactly) {
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
    EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
    EXPECT_FALSE(equal_in_constant_time("ab", "abc"));
    EXPECT_FALSE(equal_in_constant_time(std::string_view("a\0", 2), "a"));
}

TEST(Access, KnowsAPageOfAnotherOrigin) {
    EXPECT_FALSE(from_elsewhere("", "127.0.0.1:9900"));
    EXPECT_FALSE(from_elsewhere("http://127.0.0.1:9900", "127.0.0.1:9900"));
    EXPECT_TRUE(from_elsewhere("https://evil.example", "127.0.0.1:9900"));
    EXPECT_TRUE(from_elsewhere("http://127.0.0.1:3000", "127.0.0.1:9900"));
    EXPECT_TRUE(from_elsewhere("null", "127.0.0.1:9900"));
}

TEST(Access, OnlyANameCanBeMadeToPointHere) {
    for (const char* host :
         {"127.0.0.1", "127.0.0.1:9900", "[::1]:9900", "localhost", "localhost:9900", "a.localhost:1"})
        EXPECT_FALSE(may_be_rebound(host)) << host;
    for (const char* host :
         {"evil.example", "evil.example:9900", "localhost.evil.example", "127.0.0.1.evil.example"})
        EXPECT_TRUE(may_be_rebound(host)) << host;
}

}  // namespace
}  // namespace sluice::admin
