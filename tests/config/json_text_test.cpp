#include "config/json_text.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::config {
namespace {

using namespace std::chrono_literals;

std::string line(const JsonValue& value) {
    return json_text(value, JsonForm::one_line);
}

TEST(JsonText, WritesWhatHasNoParts) {
    EXPECT_EQ(line(nullptr), "null");
    EXPECT_EQ(line(true), "true");
    EXPECT_EQ(line(false), "false");
    EXPECT_EQ(line(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
    EXPECT_EQ(line(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
    EXPECT_EQ(line(std::uint8_t{7}), "7");
    EXPECT_EQ(line(0.1), "0.1");
    EXPECT_EQ(line(1.0), "1.0");
    EXPECT_EQ(line(-0.0), "-0.0");
    EXPECT_EQ(line(1e-9), "1e-09");
    EXPECT_EQ(line(0s), "0.0");
    EXPECT_EQ(line(1500ms), "1.5");
    EXPECT_EQ(line("text"), R"("text")");
    EXPECT_EQ(line(std::string("text")), R"("text")");
    EXPECT_EQ(line(std::string_view()), R"("")");
}

TEST(JsonText, HasNoNumberForWhatIsNone) {
    EXPECT_EQ(line(std::numeric_limits<double>::infinity()), "null");
    EXPECT_EQ(line(std::numeric_limits<double>::quiet_NaN()), "null");
}

TEST(JsonText, WritesNullForNothing) {
    EXPECT_EQ(line(std::optional<unsigned>()), "null");
    EXPECT_EQ(line(std::optional(3U)), "3");
    EXPECT_EQ(line(std::optional<std::string>()), "null");
}

TEST(JsonText, WritesObjectsAndArraysOnOneLine) {
    EXPECT_EQ(line({{"a", 1}, {"b", {{"c", "d"}}}}), R"({"a":1,"b":{"c":"d"}})");
    const std::vector<int> numbers{1, 2, 3};
    EXPECT_EQ(line(each(numbers, [](int n) { return 2 * n; })), "[2,4,6]");
    EXPECT_EQ(line([](JsonObject&) {}), "{}");
    EXPECT_EQ(line([](JsonArray&) {}), "[]");
    EXPECT_EQ(line([](JsonArray& out) {
                  out.add({{"a", [](JsonArray&) {}}});
                  out.add(nullptr);
              }),
              R"([{"a":[]},null])");
}

TEST(JsonText, IndentsByTwo) {
    EXPECT_EQ(json_text([](JsonObject& out) {
                  out.add("a", {{"b", 1}, {"c", 2}});
                  out.add("d", [](JsonArray& list) {
                      list.add(1);
                      list.add([](JsonObject&) {});
                  });
              }),
              R"({
  "a": {
    "b": 1,
    "c": 2
  },
  "d": [
    1,
    {}
  ]
})");
}

TEST(JsonText, EscapesNamesAndTexts) {
    EXPECT_EQ(line({{"a\"b", "\\ \n \x01 \x7f"}}), R"({"a\"b":"\\ \n \u0001 \u007f"})");
    EXPECT_EQ(line("caf\xc3\xa9 \xe2\x80\xae"), "\"caf\xc3\xa9 \\u202e\"");
}

// Every two bytes: what a JSON library makes of them is what went in, or has a U+FFFD for what is not UTF-8.
TEST(JsonText, IsReadBackByAJsonLibrary) {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const std::string text{'a', static_cast<char>(first), static_cast<char>(second), 'z'};
            const auto read = nlohmann::json::parse(line(text)).get<std::string>();
            const bool replaced = read.contains("\uFFFD") && read.starts_with('a') && read.ends_with('z');
            ASSERT_TRUE(read == text || (replaced && (first > 127 || second > 127)))
                << first << ' ' << second;
        }
    }
    for (const std::string text :
         {"\u00e4", "\u20ac", "\ud7ff", "\ue000", "\uffff", "\U0001f600", "\U0010ffff"})
        EXPECT_EQ(nlohmann::json::parse(line(text)).get<std::string>(), text);
    for (const double number : {0.0, -0.0, 1e-5, 1e300, 5e-324, 123456789.125})
        EXPECT_EQ(nlohmann::json::parse(line(number)).get<double>(), number);
}

}  // namespace
}  // namespace sluice::config
