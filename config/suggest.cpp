#include "config/suggest.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "config/checks.h"
#include "config/quote.h"

namespace sluice::config {
namespace {

// Longer than any word of ours; keeps the work on a hostile key small.
constexpr std::size_t kLongestWord = 64;

// More than a file that somebody wrote has names of one kind; keeps it small with one that nobody did.
constexpr std::size_t kMostWords = 1000;

// So many letters that two words begin with are no accident.
constexpr std::size_t kTellingLetters = 4;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::size_t edit_distance(std::string_view one, std::string_view other) {
    std::vector<std::size_t> before(other.size() + 1), above(other.size() + 1), row(other.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= one.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= other.size(); ++j) {
            const bool same = lower(one[i - 1]) == lower(other[j - 1]);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
            const bool swapped = i > 1 && j > 1 && lower(one[i - 1]) == lower(other[j - 2]) &&
                                 lower(one[i - 2]) == lower(other[j - 1]);
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[other.size()];
}

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known) {
    if (word.size() > kLongestWord) return std::nullopt;
    known = known.first(std::min(known.size(), kMostWords));
    std::optional<std::string_view> best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        const std::size_t distance = edit_distance(word, candidate);
        // A word of one or two letters is near to every other one.
        if (distance < best_distance && distance < candidate.size()) {
            best = candidate;
            best_distance = distance;
        }
    }
    if (best) return best;
    for (const std::string_view candidate : known) {
        // "warning" for "warn", "fixed" for "fixed_window".
        const bool begins =
            same_ignoring_case(candidate.substr(0, word.size()), word.substr(0, candidate.size()));
        if (begins && std::min(word.size(), candidate.size()) >= kTellingLetters) return candidate;
    }
    return std::nullopt;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
    const auto near = nearest(word, known);
    return near ? "; did you mean " + quote(*near) + "?" : std::string{};
}

}  // namespace sluice::config
