#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/context.h"

namespace sluice::runtime::interleave {

// Explorer: runs a few short threads in every order in which their atomic steps can happen, and in every
// order in which what they stored reaches memory: a model checker, as loom and relacy are.
//
//     const Exploration found = Explorer({.preemptions = 3}).explore([] {
//         auto shared = std::make_shared<Shared>();
//         return Program{{[=] { … }, [=] { … }}, [=] { return shared->ok() ? "" : "what went wrong"; }};
//     });
//
// Memory as on x86 (TSO): a store that is not seq_cst waits in its thread's buffer, which its own loads see,
// and reaches memory at any later step, first in, first out; a full fence, a read-modify-write and a seq_cst
// store empty the buffer. So a missing full fence is found; a missing acquire or release is not: for those
// there is TSan.
//
// Depth first over the choices of a run, each run from the start. In a run, a thread that could go on is left
// for another `preemptions` times at most, and a buffer is held back, with all that follows into it, `delays`
// times: bugs of this kind need one or two of each.
struct Program {
    std::vector<std::function<void()>> threads;
    std::function<std::string()> check;  // at the end of each run: empty, or what is wrong
};

struct Exploration {
    std::uint64_t schedules = 0;
    bool complete = false;  // every schedule within the bound was run
    std::string bug;        // of the first that went wrong, with its steps
};

class Explorer {
  public:
    struct Limits {
        unsigned preemptions = 3;
        unsigned delays = 2;
        std::uint64_t schedules = 2'000'000;
    };

    explicit Explorer(Limits limits) : limits_(limits) {}
    Explorer() : Explorer(Limits{}) {}

    Exploration explore(const std::function<Program()>& make);

    // For the atomics: the explorer whose thread is running, nullptr outside (setup and check).
    static Explorer* current() {
        return current_ != nullptr && current_->running_ != nullptr ? current_ : nullptr;
    }

    // The place of the running thread in its Program.
    std::size_t running() const { return static_cast<std::size_t>(running_ - threads_.data()); }

    // step() lets others go first. Called before every access to memory.
    void step();
    // pause() ends the turn of a thread that waits for another, which must change memory before it goes on.
    void pause();

    // What the running thread's buffer holds for `at`, newest first; nullptr when memory has it.
    const std::uint64_t* buffered(const void* at) const;
    void buffer(void* at, std::uint64_t bits, std::size_t size);
    void empty_buffer();
    void empty_all_buffers();                // what a heavy barrier does
    void note_change() { changed_ = true; }  // of memory, by a read-modify-write

  private:
    struct Store {
        void* at;
        std::uint64_t bits;
        std::size_t size;
    };
    struct Thread {
        Context context;
        std::unique_ptr<char[]> stack;
        std::function<void()> body;
        std::deque<Store> stores;
        bool ended = false;
        bool paused = false;
        bool held = false;  // its stores reach memory at some later step, else at once
    };
    // One way to go on: a thread's next step, its oldest store that reaches memory, or that is held back.
    enum class Kind : std::uint8_t { step, store, hold };
    struct Option {
        unsigned thread;
        Kind kind;
    };
    struct Choice {
        unsigned taken;
        unsigned of;
    };

    static void thread_main();
    std::string run_once(Program program);
    std::vector<Option> options() const;
    void go_on(Option way);
    unsigned choose(std::size_t count);
    bool next_schedule();
    void resume(Thread& thread);
    void commit(Thread& thread);

    inline static Explorer* current_ = nullptr;

    const Limits limits_;
    std::vector<Thread> threads_;
    Context home_;
    Thread* running_ = nullptr;
    std::vector<Choice> choices_;
    std::size_t depth_ = 0;
    unsigned last_ = 0;
    unsigned preemptions_ = 0;
    unsigned delays_ = 0;
    bool changed_ = false;
};

// CheckedAtomic: std::atomic for the threads of an explorer.
template <class T>
class CheckedAtomic {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);

  public:
    CheckedAtomic(T value = T{}) : value_(value) {}  // NOLINT: implicit, as std::atomic
    CheckedAtomic(const CheckedAtomic&) = delete;

    T load(std::memory_order = std::memory_order_seq_cst) const {
        Explorer* const explorer = Explorer::current();
        if (explorer == nullptr) return value_;
        explorer->step();
        T seen = value_;
        if (const std::uint64_t* bits = explorer->buffered(&value_)) std::memcpy(&seen, bits, sizeof seen);
        return seen;
    }

    void store(T value, std::memory_order order = std::memory_order_seq_cst) {
        Explorer* const explorer = Explorer::current();
        if (explorer == nullptr) {
            value_ = value;
            return;
        }
        explorer->step();
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof value);
        explorer->buffer(&value_, bits, sizeof value);
        if (order == std::memory_order_seq_cst) explorer->empty_buffer();
    }

    T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
        return modify([&](T) { return value; });
    }
    T fetch_add(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify([&](T v) { return static_cast<T>(v + n); });
    }
    T fetch_sub(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify([&](T v) { return static_cast<T>(v - n); });
    }
    T fetch_or(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify([&](T v) { return static_cast<T>(v | n); });
    }
    T fetch_and(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify([&](T v) { return static_cast<T>(v & n); });
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                                 std::memory_order = std::memory_order_seq_cst) {
        const T was = modify([&](T v) { return v == expected ? desired : v; });
        const bool swapped = was == expected;
        expected = was;
        return swapped;
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) {
        return compare_exchange_strong(expected, desired);
    }

  private:
    T modify(auto&& change) {
        if (Explorer* const explorer = Explorer::current()) {
            explorer->step();
            explorer->empty_buffer();
        }
        const T was = value_;
        value_ = change(was);
        if (Explorer* const explorer = Explorer::current(); explorer != nullptr && value_ != was)
            explorer->note_change();
        return was;
    }

    T value_;
};

// SplitAtomic: a mutant, whose read-modify-writes are a read and a write.
template <class T>
class SplitAtomic : public CheckedAtomic<T> {
  public:
    using CheckedAtomic<T>::CheckedAtomic;

    T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
        const T was = this->load();
        this->store(value);
        return was;
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                                 std::memory_order = std::memory_order_seq_cst) {
        const T was = this->load();
        const bool swapped = was == expected;
        if (swapped) this->store(desired);
        expected = was;
        return swapped;
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) {
        return compare_exchange_strong(expected, desired);
    }
};

// The seam, and its mutants: with one of its fences left out, or with read-modify-writes in two parts.
enum class Without { nothing, full_fence, heavy_barrier, atomicity };

template <Without kWithout = Without::nothing>
struct CheckedAtomics {
    template <class T>
    using Atomic = std::conditional_t<kWithout == Without::atomicity, SplitAtomic<T>, CheckedAtomic<T>>;

    static void full_fence() {
        Explorer* const explorer = Explorer::current();
        if (explorer == nullptr || kWithout == Without::full_fence) return;
        explorer->step();
        explorer->empty_buffer();
    }
    static void light_barrier() {}
    static bool heavy_barrier() {
        Explorer* const explorer = Explorer::current();
        if (explorer == nullptr || kWithout == Without::heavy_barrier) return true;
        explorer->step();
        explorer->empty_all_buffers();
        return true;
    }
    static void pause() {
        if (Explorer* const explorer = Explorer::current()) explorer->pause();
    }
};

}  // namespace sluice::runtime::interleave
