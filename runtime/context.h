#pragma once

#include <cstddef>

namespace sluice::runtime {

// A stopped flow of control: where its stack stands, and what belongs to it but lives in the thread. The
// exception globals travel along, since a task may park inside a catch block and go on on another thread.
struct Context {
    void* stack_pointer = nullptr;
    void* caught_exceptions = nullptr;
    unsigned uncaught_exceptions = 0;

    // Bounds of the stack, lowest address and size; of a worker's own thread, filled in at its first switch.
    void* stack_bottom = nullptr;
    std::size_t stack_size = 0;

    // The sanitizers' view of the same; unused otherwise.
    void* fake_stack = nullptr;
    void* fiber = nullptr;
};

// make_context() prepares `context` so that the first switch to it calls entry() at `top`, with the stack
// from `bottom` up to there. entry() must call arrived() first and never return.
void make_context(Context& context, void* bottom, void* top, void (*entry)());

// switch_context() stops the caller in `from` and goes on where `to` was stopped; it returns when somebody
// switches back to `from`, perhaps on another thread. `last`: nobody will ever switch back (the stack is
// about to be reused).
[[gnu::noinline]] void switch_context(Context& from, Context& to, bool last = false);

// Forgets what the sanitizers hold about a context whose stack goes back to the system or to another use.
void forget_context(Context& context);

}  // namespace sluice::runtime
