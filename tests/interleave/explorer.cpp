#include "tests/interleave/explorer.h"

#include <algorithm>
#include <utility>

#include "runtime/check.h"

namespace sluice::runtime::interleave {

namespace {

constexpr std::size_t kStackBytes = 64 * 1024;

}  // namespace

Exploration Explorer::explore(const std::function<Program()>& make) {
    Exploration result;
    choices_.clear();
    adopt_thread(home_);
    current_ = this;
    do {
        ++result.schedules;
        result.bug = run_once(make());
        result.complete = result.bug.empty() && !next_schedule();
    } while (result.bug.empty() && !result.complete && result.schedules < limits_.schedules);
    current_ = nullptr;
    for (Thread& thread : threads_) forget_context(thread.context, true);
    threads_.clear();
    return result;
}

std::string Explorer::run_once(Program program) {
    threads_.resize(std::max(threads_.size(), program.threads.size()));
    for (std::size_t i = 0; i < threads_.size(); ++i) {
        Thread& thread = threads_[i];
        if (thread.stack == nullptr) thread.stack = std::make_unique<char[]>(kStackBytes);
        thread.body = std::move(program.threads[i]);
        thread.ended = thread.paused = thread.held = false;
        char* const top = thread.stack.get() + kStackBytes;
        make_context(thread.context, thread.stack.get(), top - reinterpret_cast<std::uintptr_t>(top) % 64,
                     &thread_main);
    }
    depth_ = 0;
    last_ = 0;
    preemptions_ = 0;
    delays_ = 0;
    std::string steps;
    for (;;) {
        const std::vector<Option> ways = options();
        if (ways.empty()) break;
        const Option way = ways[choose(ways.size())];
        steps += (steps.empty() ? "" : " ") + std::to_string(way.thread);
        if (way.kind != Kind::step) steps += way.kind == Kind::store ? "'s store" : " held";
        go_on(way);
    }
    std::string bug = std::ranges::all_of(threads_, &Thread::ended) ? program.check() : "all threads wait";
    return bug.empty() ? bug : bug + "; steps of threads: " + steps;
}

void Explorer::go_on(Option way) {
    Thread& thread = threads_[way.thread];
    if (way.kind == Kind::hold) {
        thread.held = true;
        ++delays_;
        return;
    }
    if (way.kind == Kind::store) {
        commit(thread);
    } else {
        const Thread& last = threads_[last_];
        if (way.thread != last_ && !last.ended && !last.paused) ++preemptions_;
        last_ = way.thread;
        resume(thread);
    }
    // Who waits may look again once there is something else to see: two that wait would else take turns for
    // ever.
    if (!std::exchange(changed_, false)) return;
    for (Thread& other : threads_) {
        if (&other != &thread) other.paused = false;
    }
}

// The thread that ran last comes first, so that the first schedule runs each to its end.
std::vector<Explorer::Option> Explorer::options() const {
    std::vector<Option> ways;
    for (unsigned i = 0; i < threads_.size(); ++i) {
        if (threads_[i].stores.empty() || threads_[i].held) continue;
        ways.push_back({i, Kind::store});
        if (delays_ < limits_.delays) ways.push_back({i, Kind::hold});
        return ways;
    }
    const auto runnable = [&](unsigned i) { return !threads_[i].ended && !threads_[i].paused; };
    const bool stay = runnable(last_);
    if (stay) ways.push_back({last_, Kind::step});
    if (!stay || preemptions_ < limits_.preemptions) {
        for (unsigned i = 0; i < threads_.size(); ++i) {
            if (i != last_ && runnable(i)) ways.push_back({i, Kind::step});
        }
    }
    for (unsigned i = 0; i < threads_.size(); ++i) {
        if (!threads_[i].stores.empty()) ways.push_back({i, Kind::store});
    }
    return ways;
}

unsigned Explorer::choose(std::size_t count) {
    if (depth_ == choices_.size()) choices_.push_back({0, static_cast<unsigned>(count)});
    SLUICE_CHECK(choices_[depth_].of == count, "a program does the same when it is run in the same order");
    return choices_[depth_++].taken;
}

// False when all have been run.
bool Explorer::next_schedule() {
    while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().of) choices_.pop_back();
    if (choices_.empty()) return false;
    ++choices_.back().taken;
    return true;
}

void Explorer::thread_main() {
    Explorer& explorer = *current_;
    Thread& self = *explorer.running_;
    self.body();  // kept until the next run: stores to what it captured may still be on their way
    self.ended = true;
    switch_context(self.context, explorer.home_, exception_globals(), true);
}

void Explorer::resume(Thread& thread) {
    running_ = &thread;
    switch_context(home_, thread.context, exception_globals());
    running_ = nullptr;
}

void Explorer::step() {
    switch_context(running_->context, home_, exception_globals());
}

void Explorer::pause() {
    running_->paused = true;
    step();
}

void Explorer::commit(Thread& thread) {
    const Store store = thread.stores.front();
    thread.stores.pop_front();
    std::memcpy(store.at, &store.bits, store.size);
    changed_ = true;
    if (thread.stores.empty()) thread.held = false;
}

const std::uint64_t* Explorer::buffered(const void* at) const {
    const auto& stores = running_->stores;
    const auto it = std::find_if(stores.rbegin(), stores.rend(), [&](const Store& s) { return s.at == at; });
    return it == stores.rend() ? nullptr : &it->bits;
}

void Explorer::buffer(void* at, std::uint64_t bits, std::size_t size) {
    running_->stores.push_back({at, bits, size});
}

void Explorer::empty_buffer() {
    while (!running_->stores.empty()) commit(*running_);
}

void Explorer::empty_all_buffers() {
    for (Thread& thread : threads_) {
        while (!thread.stores.empty()) commit(thread);
    }
}

}  // namespace sluice::runtime::interleave
