#pragma once

#include <cstddef>

namespace sluice::runtime {

// A stopped flow of control: where its stack stands, and what belongs to it but lives in the thread. The
// exception globals travel along, since a task may park inside a catch block and go on on another thread.
struct Context {
    void* stack_pointer = nullptr;
    void* caught_exceptions = nullptr;
    unsigned uncaught_exceptions = 0;

    void (*entry)() = nullptr;

    // For the sanitizers; of a worker's own thread, the bounds are learnt at its first switch.
    const void* stack_bottom = nullptr;
    std::size_t stack_size = 0;
    void* fake_stack = nullptr;
    void* fiber = nullptr;
};

// adopt_thread() prepares `context` to be the calling thread's own flow, to be stopped by switch_context().
void adopt_thread(Context& context);

// make_context() prepares `context` so that the first switch to it calls entry() on the stack that ends at
// `top` (aligned to 16) and begins at `bottom`. entry() must never return.
void make_context(Context& context, void* bottom, void* top, void (*entry)());

// switch_context() stops the caller in `from` and goes on where `to` was stopped. It returns when somebody
// switches back to `from`, perhaps on another thread. `last`: nobody ever will, the stack is about to be
// reused.
[[gnu::noinline]] void switch_context(Context& from, Context& to, bool last = false);

// forget_context() tells the sanitizers that the stack of `context` goes to another use, or back to the
// system.
void forget_context(Context& context, bool for_good);

}  // namespace sluice::runtime
