#pragma once

// What the tests of the table have in common: two limits, whole sweeps, and what a client is owed at most.

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "service/limit/rule.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit::test {

using namespace std::chrono_literals;

inline const Rule kTen = Bucket(10, 1s, 20);
inline const Rule kHundredAnHour = Bucket(100, 1h, 100);

inline std::uint64_t sweep(ClientTable& table, Nanos idle, Nanos now, std::size_t slice = 100) {
    ClientTable::Swept swept;
    for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;)
        at = table.sweep(*at, slice, idle, now, swept);
    return swept.removed;
}

inline int admitted(ClientTable& table, const ClientKey& key, const Rule& bucket, Nanos now, int attempts) {
    int admitted = 0;
    for (int i = 0; i < attempts; ++i) admitted += table.take(key, 0, bucket, 1, now).admitted;
    return admitted;
}

/// What a client is owed at most: `burst` and what has flowed in since it was seen first.
struct ClosedForm {
    std::uint64_t burst;
    Nanos interval;
    std::map<std::uint32_t, std::pair<Nanos, std::uint64_t>> clients{};

    /// REQUIRES: `admitted` is so.
    void admit(std::uint32_t n, Nanos now) {
        auto& [first, count] = clients.try_emplace(n, now, 0).first->second;
        ++count;
        ASSERT_LE(count, burst + static_cast<std::uint64_t>((now - first) / interval)) << "client " << n;
    }
};

}  // namespace sluice::limit::test
