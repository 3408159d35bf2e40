#include "service/tls/pem.h"

#include <gtest/gtest.h>

namespace sluice::tls {
namespace {

TEST(Covers, TheSameNameInAnyCase) {
    EXPECT_TRUE(covers("a.example", "a.example"));
    EXPECT_TRUE(covers("a.example", "A.Example"));
    EXPECT_FALSE(covers("a.example", "b.example"));
    EXPECT_FALSE(covers("a.example", "a.example.com"));
    EXPECT_FALSE(covers("a.example.com", "a.example"));
    EXPECT_FALSE(covers("a.example", std::string_view("a.example\0", 10)));
    EXPECT_FALSE(covers("", ""));
}

TEST(Covers, OneLabelInPlaceOfAStar) {
    EXPECT_TRUE(covers("*.example.com", "a.example.com"));
    EXPECT_TRUE(covers("*.example.com", "LONG-label-1.EXAMPLE.com"));
    EXPECT_FALSE(covers("*.example.com", "example.com"));
    EXPECT_FALSE(covers("*.example.com", ".example.com"));
    EXPECT_FALSE(covers("*.example.com", "b.a.example.com"));
    EXPECT_FALSE(covers("*.example.com", "a.example.org"));
    EXPECT_FALSE(covers("*.example.com", "a"));
    EXPECT_FALSE(covers("*.example.com", ""));
    EXPECT_FALSE(covers("*", "a"));
}

}  // namespace
}  // namespace sluice::tls
