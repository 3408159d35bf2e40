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

TEST(SpelledPrefix, CountsTheBytesThatSpellIt) {
    EXPECT_EQ(spelled_prefix("/api/x", "/api"), 4u);
    EXPECT_EQ(spelled_prefix("/%61pi/x", "/api"), 6u);
    EXPECT_EQ(spelled_prefix("/ap", "/api"), std::string_view::npos);
    EXPECT_EQ(spelled_prefix("/apj/x", "/api"), std::string_view::npos);
    EXPECT_EQ(spelled_prefix("/api", "/api"), 4u);
}

}  // namespace
}  // namespace sluice::http
