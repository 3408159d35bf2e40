// Environment, suggestions, quotes, names.

#include <gtest/gtest.h>

#include "config/expand.h"
#include "config/names.h"
#include "config/quote.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

const Environment kEnvironment{{"A", "one"}, {"EMPTY", ""}, {"NESTED", "${A}"}, {"_x1", "two"}};

std::string expanded(std::string_view text) {
    const auto out = expand(text, kEnvironment);
    return out ? *out : "! " + out.error();
}

TEST(Expand, PutsVariablesIn) {
    EXPECT_EQ(expanded("${A}"), "one");
    EXPECT_EQ(expanded("<${A}${_x1}>"), "<onetwo>");
    EXPECT_EQ(expanded("${EMPTY}"), "");
    EXPECT_EQ(expanded("no $A, $ or {A}"), "no $A, $ or {A}");
}

TEST(Expand, TakesTheDefaultForWhatIsUnsetOrEmpty) {
    EXPECT_EQ(expanded("${A:-x}"), "one");
    EXPECT_EQ(expanded("${NONE:-x}"), "x");
    EXPECT_EQ(expanded("${EMPTY:-x}"), "x");
    EXPECT_EQ(expanded("${NONE:-}"), "");
    EXPECT_EQ(expanded("${NONE:-a:-b}"), "a:-b");
}

TEST(Expand, IsDoneOnce) {
    EXPECT_EQ(expanded("${NESTED}"), "${A}");
}

TEST(Expand, TwoDollarsStandForWhatIsMeant) {
    EXPECT_EQ(expanded("$${A}"), "${A}");
    EXPECT_EQ(expanded("$$${A}"), "$${A}");
    EXPECT_EQ(expanded("$$"), "$$");
}

TEST(Expand, SaysWhatIsWrong) {
    EXPECT_EQ(expanded("${NONE}"),
              "! the environment variable NONE is not set (${NONE:-default} gives it a default)");
    EXPECT_EQ(expanded("${A"), "! \"${\" without its \"}\" ($${ for a literal ${)");
    EXPECT_EQ(expanded("${}"),
              "! \"${}\" names no variable (${NAME} or ${NAME:-default}; $${ for a literal ${)");
    EXPECT_EQ(expanded("${1A}"),
              "! \"${1A}\" names no variable (${NAME} or ${NAME:-default}; $${ for a literal ${)");
    EXPECT_EQ(expanded("${A-x}"),
              "! \"${A-x}\" names no variable (${NAME} or ${NAME:-default}; $${ for a literal ${)");
}

TEST(Expand, ADefaultHoldsNoOtherVariable) {
    for (const char* text : {"${NONE:-${A}}", "${A:-${NONE}}", "${A:-$${x}}"})
        EXPECT_EQ(expanded(text), "! a default cannot hold another ${…}") << text;
}

TEST(Expand, EscapingIsItsInverse) {
    for (const char* text : {"${A}", "a$b", "$${A}", "$$$", "${", "x${y}${z}", "$"})
        EXPECT_EQ(expanded(escape_variables(text)), text);
}

TEST(Suggest, CountsEdits) {
    EXPECT_EQ(edit_distance("", "abc"), 3U);
    EXPECT_EQ(edit_distance("burst", "burst"), 0U);
    EXPECT_EQ(edit_distance("brust", "burst"), 1U);
    EXPECT_EQ(edit_distance("Burst", "bursts"), 1U);
    EXPECT_EQ(edit_distance("rate", "burst"), 4U);
}

TEST(Suggest, TakesTheNearest) {
    constexpr std::string_view known[] = {"rate", "burst", "ip", "fixed_window"};
    EXPECT_EQ(nearest("brust", known), "burst");
    EXPECT_EQ(nearest("RATE", known), "rate");
    EXPECT_EQ(nearest("fixed", known), "fixed_window");
    EXPECT_EQ(nearest("fixed_window_counter", known), "fixed_window");
    EXPECT_EQ(nearest("colour", known), std::nullopt);
    EXPECT_EQ(nearest("xy", known), std::nullopt);
    EXPECT_EQ(nearest("", known), std::nullopt);
    EXPECT_EQ(nearest(std::string(1000, 'x'), known), std::nullopt);
}

TEST(Quote, KeepsToOneShortLine) {
    EXPECT_EQ(quote("\n\xAA\xAA\xAA").find('\n'), std::string::npos) << "also where it is no UTF-8";
    EXPECT_EQ(quote("a b"), "\"a b\"");
    EXPECT_EQ(quote("a\nb\x01\x7F"), R"("a\u000ab\u0001\u007f")");
    EXPECT_EQ(quote(std::string(61, 'x')), "\"" + std::string(60, 'x') + "…\"");
    EXPECT_EQ(quote("ä"), "\"ä\"");
}

TEST(Names, OfKeysAreAsTheyAreWritten) {
    EXPECT_EQ(to_string(KeyPart{}), "ip");
    EXPECT_EQ(to_string(KeyPart{KeyKind::header, "X-Api-Key"}), "header:X-Api-Key");
    EXPECT_EQ(name_of(Algorithm::sliding_window), "sliding_window");
    EXPECT_EQ(name_of(HostPolicy::literal), "");
}

}  // namespace
}  // namespace sluice::config
