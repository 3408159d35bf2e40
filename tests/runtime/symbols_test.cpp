#include "runtime/symbols.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

[[gnu::noinline]] int seen_by_nobody_else(int x) {
    asm volatile("" : "+r"(x));
    return x + 1;
}

Symbol symbol_of(const Symbols& symbols, std::uintptr_t address) {
    Symbol one{.address = address};
    symbols.find({&one, 1});
    return one;
}

template <class F>
std::uintptr_t address_of(F* function) {
    return reinterpret_cast<std::uintptr_t>(function);
}

std::string_view text(const FrameLine& line) {
    return {line.text().data(), line.text().size()};
}

TEST(Symbols, AFunctionThatIsNotExportedHasItsName) {
    const Symbols symbols;
    const Symbol symbol = symbol_of(symbols, address_of(&seen_by_nobody_else) + 1);
    ASSERT_NE(symbol.function, nullptr);
    EXPECT_THAT(symbol.function, HasSubstr("seen_by_nobody_else"));
    EXPECT_EQ(symbol.offset, 1U);
    EXPECT_STREQ(symbol.file, "runtime_tests");
    EXPECT_NE(symbol.file_offset, 0U);
}

TEST(Symbols, AFunctionOfALibraryHasItsName) {
    const Symbols symbols;
    const Symbol symbol = symbol_of(symbols, address_of(&::getenv));
    ASSERT_NE(symbol.function, nullptr);
    EXPECT_THAT(symbol.function, HasSubstr("getenv"));
    ASSERT_NE(symbol.file, nullptr);
}

TEST(Symbols, WhatIsNoCodeHasNone) {
    const Symbols symbols;
    const Symbol symbol = symbol_of(symbols, 1);
    EXPECT_EQ(symbol.function, nullptr);
    EXPECT_EQ(symbol.file, nullptr);
    EXPECT_EQ(text(FrameLine(symbol, nullptr)), "    0x1\n");
}

TEST(Symbols, ManyAreFoundInOnePass) {
    const Symbols symbols;
    std::vector<Symbol> three;
    for (std::uintptr_t i = 0; i < 3; ++i)
        three.push_back({.address = address_of(&seen_by_nobody_else) + i / 2});
    symbols.find(three);
    for (const Symbol& symbol : three) EXPECT_THAT(symbol.function, HasSubstr("seen_by_nobody_else"));
    EXPECT_EQ(three[2].offset, 1U);
}

TEST(Symbols, ALineIsCutWhereANameIsLong) {
    const std::string name(1000, 'x');
    const Symbol symbol{
        .address = 0x2a, .function = name.c_str(), .offset = 1, .file = "a", .file_offset = 0x2a};
    EXPECT_EQ(text(FrameLine(symbol, "f(int)")), "    f(int)+0x1 (a+0x2a)\n");
    EXPECT_THAT(text(FrameLine(symbol, symbol.function)), StartsWith("    xxx"));
    EXPECT_THAT(text(FrameLine(symbol, symbol.function)), EndsWith("x+0x1 (a+0x2a)\n"));
    EXPECT_LT(text(FrameLine(symbol, symbol.function)).size(), 200U);
}

}  // namespace
}  // namespace sluice::runtime
