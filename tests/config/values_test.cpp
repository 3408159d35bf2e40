// Single values: durations, sizes, rates, address blocks, addresses.

#include <gtest/gtest.h>

#include "config/address.h"
#include "config/cidr.h"
#include "config/duration.h"
#include "config/rate.h"
#include "config/size.h"

namespace sluice::config {
namespace {

// The message, or nothing when the text is good.
template <class Parsed>
std::string complaint(const Parsed& parsed) {
    return parsed ? "" : parsed.error();
}

TEST(Duration, ReadsNumbersWithUnits) {
    const std::pair<const char*, Duration> rows[] = {{"250ms", 250ms},
                                                     {"1.5s", 1500ms},
                                                     {"3m", 3min},
                                                     {"1h30m", 90min},
                                                     {"2d", 48h},
                                                     {"1us", 1us},
                                                     {"1ns", 1ns},
                                                     {"1d2h3m4s5ms6us7ns", 26h + 3min + 4s + 5ms + 6us + 7ns},
                                                     {"0.5m", 30s},
                                                     {"1.000000001s", 1s + 1ns},
                                                     {"3650d", kLongest},
                                                     {"0h1s", 1s},
                                                     {"1.50000000000000000000s", 1500ms},
                                                     {"0.00000000005m", 3ns},
                                                     {"0.0000152587890625d", 1318359375ns}};
    for (const auto& [text, duration] : rows) EXPECT_EQ(parse_duration(text), duration) << text;
}

TEST(Duration, RefusesWhatIsNone) {
    for (const char* text : {"",
                             "10",
                             "s",
                             "-1s",
                             "+1s",
                             "1 s",
                             "1s ",
                             "0s",
                             "0ms",
                             "1.s",
                             ".5s",
                             "1.5ns",
                             "1.0000000001s",
                             "0.0000000000000000001d",
                             "0.00000000001m",
                             "1m1h",
                             "1s1s",
                             "3651d",
                             "99999999999999999999s",
                             "1e3s",
                             "1w",
                             "1S",
                             "1,5s",
                             "inf"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, GuessesWhatWasMeant) {
    const std::pair<const char*, const char*> rows[] = {
        {"10", "10s"},         {"10 s", "10s"}, {"5 minutes", "5m"},    {"2 Hours", "2h"},
        {"100 msec", "100ms"}, {"10S", "10s"},  {"1 day 2 hrs", "1d2h"}};
    for (const auto& [text, guess] : rows) {
        EXPECT_EQ(complaint(parse_duration(text)),
                  "\"" + std::string(text) +
                      "\" is not a duration (above 0 and at most 3650d, such as \"250ms\", \"1.5s\" or "
                      "\"1h30m\"; did you mean \"" +
                      guess + "\"?)");
    }
    EXPECT_EQ(complaint(parse_duration("soon")),
              R"("soon" is not a duration (above 0 and at most 3650d, such as "250ms", "1.5s" or "1h30m"))");
}

TEST(Duration, IsWrittenShortAndReadsBack) {
    for (const Duration duration : {Duration(90min), Duration(1500ms), Duration(1ns), Duration(48h),
                                    Duration(60s), Duration(999'999'999)})
        EXPECT_EQ(parse_duration(to_string(duration)), duration);
    EXPECT_EQ(to_string(90min), "90m");
    EXPECT_EQ(to_string(1500ms), "1500ms");
    EXPECT_EQ(to_string(24h), "1d");
}

TEST(Size, ReadsTextsWithUnits) {
    const std::pair<const char*, std::uint64_t> rows[] = {
        {"64KiB", 65536},  {"10MiB", 10 << 20},    {"1MB", 1'000'000}, {"2kB", 2000}, {"2KB", 2000},
        {"1GiB", 1 << 30}, {"1GB", 1'000'000'000}, {"7B", 7},          {"0B", 0}};
    for (const auto& [text, bytes] : rows) EXPECT_EQ(parse_size(text), bytes) << text;
}

TEST(Size, RefusesWhatIsNone) {
    for (const char* text : {"", "B", "-1B", "1.5MiB", "1 MiB", "1mib", "1TB", "9223372036854775808B",
                             "99999999999GiB", "1", "unlimited"})
        EXPECT_FALSE(parse_size(text)) << text;
    for (const char* text : {"99999999999GiB", "99999999999999999999B", "9223372036854775808B"})
        EXPECT_EQ(complaint(parse_size(text)),
                  "\"" + std::string(text) + "\" is too large (less than 2^63 bytes)");
    EXPECT_EQ(
        complaint(parse_size("16k")),
        R"("16k" is not a size (bytes, or a text such as "64KiB", "10MiB" or "1MB"; did you mean "16KiB"?))");
    EXPECT_EQ(
        complaint(parse_size("16 mib")),
        R"("16 mib" is not a size (bytes, or a text such as "64KiB", "10MiB" or "1MB"; did you mean "16MiB"?))");
    EXPECT_EQ(
        complaint(parse_size("16")),
        R"("16" is not a size (bytes, or a text such as "64KiB", "10MiB" or "1MB"; did you mean "16B"?))");
}

TEST(Size, IsWrittenInTheLargestUnitThatIsExact) {
    EXPECT_EQ(size_text(16384), "16KiB");
    EXPECT_EQ(size_text(1 << 30), "1GiB");
    EXPECT_EQ(size_text(1000), "1000B");
    EXPECT_EQ(size_text(0), "0B");
    EXPECT_EQ(size_text(kUnlimited), "unlimited");
}

TEST(Rate, ReadsCountAndPeriod) {
    const std::tuple<const char*, std::uint64_t, Duration> rows[] = {
        {"10/s", 10, 1s},         {"100/m", 100, 1min},
        {"5000/h", 5000, 1h},     {"100/10s", 100, 10s},
        {"1/365d", 1, 24h * 365}, {"1/1h30m", 1, 90min},
        {"3/1.5s", 3, 1500ms},    {"1000000000/s", 1'000'000'000, 1s},
        {"1/ns", 1, 1ns}};
    for (const auto& [text, count, per] : rows) EXPECT_EQ(parse_rate(text), (Rate{count, per, text})) << text;
}

TEST(Rate, RefusesWhatIsNone) {
    for (const char* text :
         {"", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "10/0s", "10 / s", "10/x", "1/366d", "1000000001/s",
          "2/ns", "10/s/s", "99999999999999999999/s", "10/.5s", "10/m30s"})
        EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(Rate, SaysWhatIsTooLarge) {
    for (const char* text : {"99999999999999999999/s", "18446744073709551616/10m"})
        EXPECT_EQ(complaint(parse_rate(text)),
                  "\"" + std::string(text) + "\" is too large (at most one each nanosecond)");
}

TEST(Rate, GuessesWhatWasMeant) {
    const std::pair<const char*, const char*> rows[] = {{"10", "10/s"},
                                                        {"10 per second", "10/s"},
                                                        {"10r/s", "10/s"},
                                                        {"10rps", "10/s"},
                                                        {"100 requests per minute", "100/m"},
                                                        {"5 / hour", "5/h"},
                                                        {"10/sec", "10/s"},
                                                        {"0.5/s", "1/2s"},
                                                        {"1.5/m", "3/2m"},
                                                        {"2.0/s", "2/s"},
                                                        {"0.25/10s", "1/40s"},
                                                        {"0.1 per minute", "1/10m"}};
    for (const auto& [text, guess] : rows) {
        EXPECT_EQ(
            complaint(parse_rate(text)),
            "\"" + std::string(text) +
                "\" is not a rate (COUNT/UNIT, such as \"10/s\", \"100/m\" or \"100/10s\"; did you mean \"" +
                guess + "\"?)");
    }
}

std::string block(const char* text) {
    const auto cidr = parse_cidr(text);
    return cidr ? cidr->to_string() : "none";
}

TEST(Cidr, ReadsBlocksAndSingleAddresses) {
    EXPECT_EQ(block("10.0.0.0/8"), "10.0.0.0/8");
    EXPECT_EQ(block("192.0.2.7"), "192.0.2.7/32");
    EXPECT_EQ(block("0.0.0.0/0"), "0.0.0.0/0");
    EXPECT_EQ(block("2001:db8::/32"), "2001:db8::/32");
    EXPECT_EQ(block("::1"), "::1/128");
    EXPECT_EQ(block("::/0"), "::/0");
    EXPECT_EQ(parse_cidr("10.0.0.0/8")->prefix_bits, 104);
}

TEST(Cidr, TheMappedFormIsTheFourByteForm) {
    EXPECT_EQ(parse_cidr("::ffff:10.0.0.0/104"), parse_cidr("10.0.0.0/8"));
    EXPECT_EQ(parse_cidr("::ffff:192.0.2.7"), parse_cidr("192.0.2.7"));
}

TEST(Cidr, ContainsWhatIsInside) {
    const auto address = [](const char* text) { return parse_cidr(text)->address; };
    EXPECT_TRUE(parse_cidr("10.0.0.0/8")->contains(address("10.255.0.1")));
    EXPECT_FALSE(parse_cidr("10.0.0.0/8")->contains(address("11.0.0.1")));
    EXPECT_FALSE(parse_cidr("10.0.0.0/8")->contains(address("::10.0.0.1")));
    EXPECT_TRUE(parse_cidr("2001:db8::/33")->contains(address("2001:db8:7fff::1")));
    EXPECT_FALSE(parse_cidr("2001:db8::/33")->contains(address("2001:db8:8000::1")));
    EXPECT_FALSE(parse_cidr("0.0.0.0/0")->contains(address("2001:db8::1")));
    EXPECT_TRUE(parse_cidr("::/0")->contains(address("192.0.2.7")));
}

TEST(Cidr, RefusesWhatIsNone) {
    for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "010.0.0.1", "x",
                             "10.0.0.0/-1", "10.0.0.0/8 ", "fe80::1%eth0"})
        EXPECT_FALSE(parse_cidr(text)) << text;
    EXPECT_EQ(complaint(parse_cidr("10.0.0.0/33")),
              R"("10.0.0.0/33" is not an address block (the prefix length is 0 to 32))");
    EXPECT_EQ(
        complaint(parse_cidr("10.1.2.3/8")),
        R"("10.1.2.3/8" is not an address block (bits are set below the prefix; did you mean "10.0.0.0/8"?))");
    EXPECT_EQ(
        complaint(parse_cidr("localhost")),
        R"("localhost" is not an address block (such as "10.0.0.0/8", "2001:db8::/32" or "192.0.2.7"))");
}

TEST(ListenAddress, IsAnAddressOrASocket) {
    EXPECT_EQ(parse_listen_address("0.0.0.0:8080"), (Address{"0.0.0.0:8080", "0.0.0.0", 8080, ""}));
    EXPECT_EQ(parse_listen_address("[::]:0"), (Address{"[::]:0", "::", 0, ""}));
    EXPECT_EQ(parse_listen_address("unix:/run/x.sock"), (Address{"unix:/run/x.sock", "", 0, "/run/x.sock"}));
}

TEST(ListenAddress, GuessesWhatWasMeant) {
    const std::pair<const char*, const char*> rows[] = {{"8080", "0.0.0.0:8080"},
                                                        {":8080", "0.0.0.0:8080"},
                                                        {"*:8080", "0.0.0.0:8080"},
                                                        {"localhost:8080", "127.0.0.1:8080"},
                                                        {"http://127.0.0.1:80/", "127.0.0.1:80"},
                                                        {"/run/x.sock", "unix:/run/x.sock"},
                                                        {"::1:80", "[::1]:80"}};
    for (const auto& [text, guess] : rows) {
        EXPECT_EQ(complaint(parse_listen_address(text)),
                  "\"" + std::string(text) +
                      "\" is not an address to listen on (IP:PORT or unix:/PATH, such as \"0.0.0.0:8080\" or "
                      "\"[::]:8080\"; did you mean \"" +
                      guess + "\"?)");
    }
    for (const char* text : {"", "app:80", "1.2.3.4", "1.2.3.4:70000", "1.2.3.4:", "[::1:80",
                             "unix:", "unix:/", "unix:x", "256.1.1.1:80"})
        EXPECT_FALSE(parse_listen_address(text)) << text;
    EXPECT_FALSE(parse_listen_address("unix:/" + std::string(200, 'x')));
}

TEST(ServerAddress, IsANameOrAnAddressOrASocket) {
    EXPECT_EQ(parse_server_address("app:3000"), (Address{"app:3000", "app", 3000, ""}));
    EXPECT_EQ(parse_server_address("my_app-1.internal:80"),
              (Address{"my_app-1.internal:80", "my_app-1.internal", 80, ""}));
    EXPECT_EQ(parse_server_address("[2001:db8::1]:80"), (Address{"[2001:db8::1]:80", "2001:db8::1", 80, ""}));
    EXPECT_EQ(parse_server_address("unix:/run/x.sock"), (Address{"unix:/run/x.sock", "", 0, "/run/x.sock"}));
    for (const char* text :
         {"", "app", "app:0", "app:x", "a..b:1", ".a:1", "300.1.1.1:80", "a b:1", "[app]:1", "app:65536"})
        EXPECT_FALSE(parse_server_address(text)) << text;
    EXPECT_EQ(
        complaint(parse_server_address("http://app:3000")),
        R"("http://app:3000" is not an address of a server (HOST:PORT or unix:/PATH, such as "127.0.0.1:3000" or "app:3000"; did you mean "app:3000"?))");
    EXPECT_EQ(
        complaint(parse_server_address("3000")),
        R"("3000" is not an address of a server (HOST:PORT or unix:/PATH, such as "127.0.0.1:3000" or "app:3000"; did you mean "127.0.0.1:3000"?))");
}

}  // namespace
}  // namespace sluice::config
