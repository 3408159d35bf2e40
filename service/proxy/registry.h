#pragma once

// The client connections that are open: how many, and which, so that a drain can wake those that idle.
//
// Sharded by worker; a lock guards each list and is never held across a park. Any task may call any function.

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

namespace sluice::proxy {

/// A place in a Registry; a base of the connection that it stands for.
class Registered {
  private:
    friend class Registry;
    Registered* before_ = nullptr;
    Registered* after_ = nullptr;
    unsigned shard_ = 0;
};

class Registry {
  public:
    explicit Registry(unsigned workers) : shards_(workers + 1) {}

    /// Claims a place for one more connection; false when `max` are open already.
    bool admit(std::size_t max);
    /// Gives a claimed place back.
    void leave() { open_.fetch_sub(1, std::memory_order_acq_rel); }
    std::size_t open() const { return open_.load(std::memory_order_acquire); }

    void add(Registered& connection);
    void remove(Registered& connection);

    /// Calls visit(connection) for each one, under the lock of its shard: `visit` must neither park nor
    /// remove.
    template <class Visit>
    void each(Visit&& visit) {
        each_until([&](Registered& one) { return visit(one), false; });
    }
    /// The same, until visit() says true. Returns whether it did.
    template <class Visit>
    bool each_until(Visit&& visit) {
        for (auto& shard : shards_) {
            const std::scoped_lock hold(shard.lock);
            for (Registered* at = shard.first; at; at = at->after_)
                if (visit(*at)) return true;
        }
        return false;
    }

  private:
    struct alignas(64) Shard {
        std::mutex lock;
        Registered* first = nullptr;
    };

    std::vector<Shard> shards_;
    std::atomic<std::size_t> open_{0};
};

}  // namespace sluice::proxy
