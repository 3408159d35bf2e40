#include "service/http/path.h"

#include <random>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

std::string normal(std::string_view path) {
    return std::string(NormalPath(path).text());
}

TEST(NormalPath, OneFormForAllSpellings) {
    for (const char* spelled :
         {"/login", "/%6Cogin", "/%6cogin", "//login", "/./login", "/x/../login", "/../login", "/%2e/login",
          "/x/%2E%2e/login", "/%2Flogin", "///x//..//./login"})
        EXPECT_EQ(normal(spelled), "/login") << spelled;
}

TEST(NormalPath, WhatIsTidyAlreadyStays) {
    for (const char* path : {"/", "*", "", "/a/b", "/a/b/", "/a.b/c..d/e.", "/a+b", "/x;y=1/z"})
        EXPECT_EQ(normal(path), path);
}

TEST(NormalPath, ASlashAtTheEndStaysAndDotsThereLeaveOne) {
    const std::pair<const char*, const char*> paths[] = {
        {"/a//", "/a/"}, {"/a/.", "/a/"},       {"/a/b/..", "/a/"}, {"/a/..", "/"}, {"/..", "/"},
        {"//", "/"},     {"/a/b/../c", "/a/c"}, {"/...", "/..."},   {"/.a", "/.a"}};
    for (const auto& [path, expected] : paths) EXPECT_EQ(normal(path), expected) << path;
}

TEST(NormalPath, EscapesAreUndoneOnceAndCutOnesStandForThemselves) {
    EXPECT_EQ(normal("/%2541"), "/%41");
    EXPECT_EQ(normal("/100%"), "/100%");
    EXPECT_EQ(normal("/%4"), "/%4");
    EXPECT_EQ(normal("/%zz/%+1"), "/%zz/%+1");
    EXPECT_EQ(normal("/a+b%20c"), "/a+b c");
}

TEST(NormalPath, NothingLeadsOutOfItOrStaysUntidy) {
    std::mt19937 random(7);
    for (int i = 0; i < 200'000; ++i) {
        std::string path = "/";
        for (auto left = random() % 12; left > 0; --left) path += "//..ab%2eF"[random() % 10];
        const std::string text = normal(path);
        ASSERT_TRUE(text.starts_with('/')) << path;
        for (const char* bad : {"//", "/./", "/../"})
            ASSERT_FALSE(text.contains(bad)) << path << " -> " << text;
        ASSERT_FALSE(text.ends_with("/.") || text.ends_with("/..")) << path << " -> " << text;
        ASSERT_LE(text.size(), path.size());
    }
}

TEST(WithoutPrefix, TakesWholeSegmentsInAnySpelling) {
    const std::pair<const char*, const char*> origins[] = {{"/api/x", "/x"},
                                                           {"/api", ""},
                                                           {"/api?q", "?q"},
                                                           {"/api/", "/"},
                                                           {"/%61pi/%7Ex", "/%7Ex"},
                                                           {"/api/x/../y", "/x/../y"},
                                                           {"/api//x?a=/..", "//x?a=/.."},
                                                           {"/apiary", "/apiary"},
                                                           {"/other/api", "/other/api"},
                                                           {"/api/../x", "/api/../x"},
                                                           {"", ""},
                                                           {"?q", "?q"},
                                                           {"*", "*"}};
    for (const auto& [origin, rest] : origins) EXPECT_EQ(without_prefix(origin, "/api"), rest) << origin;
    EXPECT_EQ(without_prefix("/a%20b/c", "/a%20b"), "/c");
}

// An upstream that tidies paths would be led to what the prefix is there to hide.
TEST(WithoutPrefix, RefusesWhatWouldLeadElsewhere) {
    for (const char* origin :
         {"/x/../api/y", "//api/y", "/./api", "/api/../api/y", "/api%2Fx/../../api/y", "/api%2Fx"})
        EXPECT_EQ(without_prefix(origin, "/api"), std::nullopt) << origin;
}

// Whatever is let through is, tidied, the prefix and the rest tidied.
TEST(WithoutPrefix, TheRestIsWhatTheRouteSaw) {
    std::mt19937 random(9);
    int stripped = 0, refused = 0;
    for (int i = 0; i < 300'000; ++i) {
        std::string path;
        for (auto left = random() % 6; left > 0; --left) {
            const char* const parts[] = {"/api", "/%61pi", "/..", "/.", "/", "/x", "%2e", "%2F"};
            path += parts[random() % 8];
        }
        const auto rest = without_prefix(path, "/api");
        const std::string whole = normal(path);
        if (!rest) {
            ++refused;
            ASSERT_TRUE(whole.starts_with("/api")) << path;
        } else if (rest->size() != path.size()) {
            ++stripped;
            ASSERT_EQ("/api" + (rest->empty() ? "" : normal(*rest)), whole) << path;
        } else {
            ASSERT_FALSE(whole == "/api" || whole.starts_with("/api/")) << path;
        }
    }
    EXPECT_GT(stripped, 1000);
    EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace sluice::http
