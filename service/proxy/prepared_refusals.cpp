#include "service/proxy/prepared_refusals.h"

#include <algorithm>
#include <cstring>

namespace sluice::proxy {

namespace {

constexpr std::string_view kDate = "\r\nDate: ";

}  // namespace

// Clients of one attack are told different times. Neighbouring limits do not meet at one place either.
std::size_t PreparedRefusals::place_of(const RefusalForm& form) {
    const auto limit = reinterpret_cast<std::uintptr_t>(form.limit) / sizeof(policy::Limit);
    return (form.retry_after + 5 * limit) % kEntries;
}

std::optional<PreparedRefusal> PreparedRefusals::copy(const RefusalForm& form, std::string_view date,
                                                      std::span<char> room) const {
    const Entry& entry = entries_[place_of(form)];
    if (entry.form != form || room.size() < entry.size) return std::nullopt;
    std::memcpy(room.data(), entry.bytes.data(), entry.size);
    std::memcpy(room.data() + entry.date_at, date.data(), date.size());
    return PreparedRefusal{{room.data(), entry.size}, entry.body_size};
}

void PreparedRefusals::keep(const RefusalForm& form, const PreparedRefusal& refusal) {
    const std::size_t line_end = std::min(refusal.answer.find("\r\n"), refusal.answer.size());
    if (refusal.answer.size() > kLongest || !refusal.answer.substr(line_end).starts_with(kDate)) return;
    Entry& entry = entries_[place_of(form)];
    entry.form = form;
    entry.size = static_cast<std::uint16_t>(refusal.answer.size());
    entry.body_size = static_cast<std::uint16_t>(refusal.body_size);
    entry.date_at = static_cast<std::uint16_t>(line_end + kDate.size());
    std::memcpy(entry.bytes.data(), refusal.answer.data(), entry.size);
}

}  // namespace sluice::proxy
