#pragma once

// The decision about one request. Several limits are charged all or none: they are taken in order, and the
// first that refuses gives back what the others took. Never touches a socket; allocates nothing; some 60 ns
// for one limit.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "service/policy/policy.h"
#include "service/policy/request.h"

namespace sluice::policy {

/// One limit that applied to a request, and what it said.
struct Applied {
    const Limit* limit;
    limit::ClientKey key;
    std::uint64_t cost;
    limit::Bucket::Answer answer;
    bool asked;  // false: an earlier limit had refused already
};

class Verdict {
  public:
    enum class Kind : std::uint8_t { admitted, limited, denied };

    Verdict() {}  // leaves the places as they are
    Verdict(const Verdict& other) { copy(other); }
    Verdict& operator=(const Verdict& other) {
        if (this != &other) copy(other);
        return *this;
    }

    Kind kind = Kind::admitted;
    const Applied* refused_by = nullptr;  // kind == limited
    const Limit* shadow = nullptr;        // the first limit in shadow mode that would have refused

    std::span<const Applied> applied() const { return {places(), size_}; }
    /// The limit nearest to refusing, of those that are enforced and were asked; nullptr: none was.
    const Applied* nearest() const;

  private:
    friend Verdict decide(const Policy&, limit::ClientTable&, const Request&, std::size_t, limit::Nanos);
    friend Verdict explain(const Policy&, const limit::ClientTable&, const Request&, std::size_t,
                           limit::Nanos);

    const Applied* places() const { return reinterpret_cast<const Applied*>(room_.data()); }
    Applied& add(const Applied& applied) {
        return *::new (room_.data() + size_++ * sizeof(Applied)) Applied(applied);
    }
    void copy(const Verdict& other) {
        kind = other.kind;
        shadow = other.shadow;
        size_ = 0;
        for (const Applied& each : other.applied()) add(each);
        refused_by = other.refused_by ? places() + (other.refused_by - other.places()) : nullptr;
    }

    std::size_t size_ = 0;
    alignas(Applied) std::array<std::byte, kLimitsMax * sizeof(Applied)> room_;
};

/// Decides, and spends what the decision costs. `route` is the request's, for keys that are made of it.
Verdict decide(const Policy& policy, limit::ClientTable& table, const Request& request, std::size_t route,
               limit::Nanos now);

/// What decide() would say now; spends, counts and remembers nothing.
Verdict explain(const Policy& policy, const limit::ClientTable& table, const Request& request,
                std::size_t route, limit::Nanos now);

}  // namespace sluice::policy
