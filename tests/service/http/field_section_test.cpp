#include "service/http/field_section.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/service/http/beast_fields.h"

namespace sluice::http {
namespace {

using namespace std::string_literals;

std::optional<test::NamesAndValues> ours(std::string_view section) {
    Fields fields;
    if (!read_fields(section, fields)) return std::nullopt;
    test::NamesAndValues all;
    for (const Field& field : fields) all.emplace_back(field.name, field.value);
    return all;
}

TEST(FieldSection, NamesAndValuesAreCutFromTheirLines) {
    EXPECT_EQ(ours("A: b\r\nC:\t d\te \r\nEmpty:\r\nBlank: \t \r\n\r\n"),
              (test::NamesAndValues{{"A", "b"}, {"C", "d\te"}, {"Empty", ""}, {"Blank", ""}}));
    EXPECT_EQ(ours("\r\n"), test::NamesAndValues());
}

TEST(FieldSection, EveryByteIsJudgedAtEveryPlaceInAWord) {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool text = (byte >= 0x20 && byte != 0x7f) || c == '\t';
        for (std::size_t before = 0; before < 20; ++before) {
            const std::string value = std::string(before, 'x') + c + std::string(20 - before, '\xff');
            const auto read = ours("A:" + value + "\r\n\r\n");
            ASSERT_EQ(read.has_value(), text) << byte << " at " << before;
            if (text && before > 0) {
                EXPECT_EQ(read->at(0).second, value);
            }
            EXPECT_EQ(ours("A" + std::string(before, 'x') + c + ": b\r\n\r\n").has_value(),
                      std::string_view("!#$%&'*+-.^_`|~:").find(c) != std::string_view::npos ||
                          (byte < 128 && std::isalnum(byte)))
                << byte;
        }
    }
}

TEST(FieldSection, HasNoMoreFieldsThanThereIsRoomFor) {
    std::string lines;
    for (std::size_t i = 0; i < Fields::kMax; ++i) lines += "A:\r\n";
    Fields fields;
    EXPECT_TRUE(read_fields(lines + "\r\n", fields));
    const auto again = read_fields("A:\r\n\r\n", fields);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().status, 431);
}

// A line of bytes that matter somewhere, now and then of any; of names that Beast draws no conclusions from,
// for those are not ours.
std::string random_section(std::mt19937& random) {
    static constexpr std::string_view kBytes = "Aa1-_: \t,;\"()\x7f\x80\xff\x01\r";
    std::string section;
    for (unsigned lines = random() % 4; lines > 0; --lines) {
        for (unsigned n = random() % 24; n > 0; --n)
            section += random() % 64 ? kBytes[random() % kBytes.size()] : static_cast<char>(random() % 256);
        if (random() % 4) section.insert(section.rfind('\n') + 1, "Name:");
        section += "\r\n";
    }
    return section + "\r\n";
}

TEST(FieldSection, BeastReadsTheSame) {
    std::mt19937 random(1);
    unsigned accepted = 0;
    for (int i = 0; i < 100'000; ++i) {
        const std::string section = random_section(random);
        // HeadScan's part: it refuses folds and bare LF, and ends at the first empty line.
        if (section.find("\r\n\r\n") + 4 != section.size() && section != "\r\n") continue;
        if (section.find("\n ") != section.npos || section.find("\n\t") != section.npos) continue;
        const auto read = ours(section);
        ASSERT_EQ(read, test::BeastFields::read(section)) << testing::PrintToString(section);
        accepted += read.has_value();
    }
    EXPECT_GT(accepted, 10'000u);
}

}  // namespace
}  // namespace sluice::http
