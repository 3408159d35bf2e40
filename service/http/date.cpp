#include "service/http/date.h"

#include <algorithm>

namespace sluice::http {

namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

char* put(char* to, std::string_view text) {
    return std::copy(text.begin(), text.end(), to);
}

template <int kDigits>
char* put(char* to, unsigned number) {
    for (int i = kDigits - 1; i >= 0; --i, number /= 10) to[i] = static_cast<char>('0' + number % 10);
    return to + kDigits;
}

}  // namespace

std::string_view DateText::at(std::chrono::sys_seconds now) {
    if (now != second_) {
        second_ = now;
        const auto day = std::chrono::floor<std::chrono::days>(now);
        const std::chrono::year_month_day date(day);
        const std::chrono::hh_mm_ss time(now - day);
        char* to = put(text_.data(), kDays.substr(std::chrono::weekday(day).c_encoding() * 3, 3));
        to = put<2>(put(to, ", "), static_cast<unsigned>(date.day()));
        to = put(put(to, " "), kMonths.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3));
        to = put<4>(put(to, " "), static_cast<unsigned>(static_cast<int>(date.year())));
        to = put<2>(put(to, " "), static_cast<unsigned>(time.hours().count()));
        to = put<2>(put(to, ":"), static_cast<unsigned>(time.minutes().count()));
        to = put<2>(put(to, ":"), static_cast<unsigned>(time.seconds().count()));
        put(to, " GMT");
    }
    return {text_.data(), text_.size()};
}

}  // namespace sluice::http
