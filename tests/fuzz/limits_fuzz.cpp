// Sets of limits and requests, four bytes each, made of the input: no refused request spends anything under
// any limit, an admitted one spends its cost under each, and limits in shadow mode never refuse. Each limit
// is played along as a bucket of its own.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "service/http/read_head.h"
#include "service/policy/decide.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t kClients = 4;

class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    bool left(std::size_t n) const { return static_cast<std::size_t>(end_ - at_) >= n; }
    std::uint8_t next() { return *at_++; }

  private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

config::Limit limit_of(Bytes& bytes, std::size_t index) {
    config::Limit limit;
    const std::uint8_t flags = bytes.next();
    limit.name = "limit-" + std::to_string(index);
    limit.rate = {1U + bytes.next(), config::Duration(1s) * (1 + (flags >> 4)), ""};
    limit.burst = 1U + bytes.next() % 16;
    limit.cost.fixed = bytes.next() % (limit.burst + 1);
    if (flags & 1) limit.key = {{config::KeyKind::global, ""}};
    if (flags & 2) limit.mode = config::Mode::shadow;
    if (flags & 4) limit.match.methods = {"POST"};
    return limit;
}

/// What one limit is to be: a bucket for each client, or one for all.
struct Played {
    std::array<limit::State, kClients> states{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string kText = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const http::RequestHead kHead = [] {
        http::HeadScan scan;
        http::RequestHead head;
        require(http::read_request_head(kText, scan, {}, head).has_value());
        return head;
    }();

    Bytes bytes(data, size);
    if (!bytes.left(1)) return 0;
    config::Config config;
    for (std::size_t i = bytes.next() % 8; i > 0 && bytes.left(4); --i)
        config.limits.push_back(limit_of(bytes, i));
    policy::Ledger ledger(1000, 1);
    const policy::Policy policy(config, ledger);
    std::vector<Played> played(config.limits.size());

    limit::Nanos now = 1'000'000'000'000;
    while (bytes.left(4)) {
        const std::size_t client = bytes.next() % kClients;
        now += (std::int64_t{bytes.next()} << 16 | bytes.next() << 8 | bytes.next()) * 100;
        limit::Address address{};
        address[10] = address[11] = 0xff;
        address[15] = static_cast<std::uint8_t>(client);
        const policy::Verdict verdict = policy::decide(policy, ledger.table, {kHead, "", address}, 0, now);

        std::vector<limit::State*> states;
        std::vector<limit::State> after;
        const policy::Limit* refuses = nullptr;
        for (std::size_t i = 0; i < policy.limits().size(); ++i) {
            const policy::Limit& limit = policy.limits()[i];
            if (!limit.settings.match.methods.empty()) continue;
            const bool global = limit.settings.key[0].kind == config::KeyKind::global;
            limit::State* state = &played[i].states[global ? 0 : client];
            limit::State next = *state;
            const bool admits = limit.bucket.take(next, limit.settings.cost.fixed, now).admitted;
            if (!admits && !limit.shadow && !refuses) refuses = &limit;
            states.push_back(state);
            after.push_back(next);
        }
        require(verdict.applied().size() == states.size());
        require((verdict.refused_by ? verdict.refused_by->limit : nullptr) == refuses);
        if (!refuses)
            for (std::size_t i = 0; i < states.size(); ++i) *states[i] = after[i];
        for (std::size_t i = 0; i < states.size(); ++i) {
            const policy::Applied& applied = verdict.applied()[i];
            const auto found = ledger.table.find(applied.key, applied.limit->account.id);
            require((found ? found->state : limit::State{}) == *states[i]);
        }
    }
    return 0;
}
