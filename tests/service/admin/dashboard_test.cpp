#include "service/admin/dashboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string policy() {
    for (const auto& [name, value] : dashboard().fields)
        if (name == "Content-Security-Policy") return value;
    return "";
}

TEST(Dashboard, IsOnePageWithItsStyleAndScriptInside) {
    const Response page = dashboard();
    EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
    EXPECT_THAT(page.body, ::testing::StartsWith("<!doctype html>"));
    EXPECT_THAT(page.body, HasSubstr("<style>\n:root {"));
    EXPECT_THAT(page.body, HasSubstr("<script>\n'use strict';"));
    EXPECT_THAT(page.body, ::testing::EndsWith("</html>\n"));
}

TEST(Dashboard, RunsItsOwnScriptAndNoOther) {
    EXPECT_THAT(policy(), HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy(), HasSubstr("script-src 'sha256-"));
    EXPECT_THAT(policy(), HasSubstr("style-src 'sha256-"));
    EXPECT_THAT(policy(), Not(HasSubstr("unsafe")));
}

// What the policy would forbid, and what would hurt where it is not obeyed.
TEST(Dashboard, HasNothingThatItsPolicyForbids) {
    const std::string page = dashboard().body;
    for (const char* text :
         {" style=\"", " onclick", " onload", "innerHTML", "eval(", "src=", "url(", "@import"})
        EXPECT_THAT(page, Not(HasSubstr(text)));
}

}  // namespace
}  // namespace sluice::admin
