#pragma once

#include <cstddef>

#include "runtime/sanitizer.h"

namespace sluice::runtime {

// A stopped flow of control: where its stack stands, and what belongs to it but lives in the thread. The
// exception globals travel along, since a task may park inside a catch block and go on on another thread. The
// modes of floating point (rounding, masks) do not: they are the thread's.
struct Context {
    void* stack_pointer = nullptr;
    void* frame_pointer = nullptr;  // these two only where the switch is our own, on x86-64
    void* resume = nullptr;         // the instruction that it goes on with
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

// What the C++ library keeps for a thread about the exceptions in flight, as the Itanium C++ ABI (2.2.2) lays
// it out; <cxxabi.h> only declares it.
struct ExceptionGlobals {
    void* caught_exceptions;
    unsigned uncaught_exceptions;
};

// The calling thread's. Never inlined, and not to be kept across a switch: __cxa_get_globals() is declared
// const, so a compiler may reuse what it returned before, for another thread.
[[gnu::noinline]] ExceptionGlobals& exception_globals();

// switch_context() stops the caller in `from` and goes on where `to` was stopped. It returns when somebody
// switches back to `from`, perhaps on another thread. `last`: nobody ever will, the stack is about to be
// reused. `globals`: of the calling thread. Part of its caller, since a switch costs little more than a call:
// who calls it has no thread-local's address at hand afterwards.
void switch_context(Context& from, Context& to, ExceptionGlobals& globals, bool last = false);

// forget_context() tells the sanitizers that the stack of `context` goes to another use, or back to the
// system.
void forget_context(Context& context, bool for_good);

namespace detail {

// On the stack arrived at. `left` is who was there before.
inline void land([[maybe_unused]] Context& left, [[maybe_unused]] Context& self) {
#if SLUICE_ASAN
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &size);
    if (left.stack_bottom == nullptr) {
        left.stack_bottom = bottom;
        left.stack_size = size;
    }
#endif
}

#if defined(__x86_64__)

// Only what the compiler has live across the switch is saved, by itself, since all registers but the stack's
// are said to be lost; and the return address is an address in this function, so that a return is predicted.
// Boost's jump_fcontext() beside it saves all, and the modes of floating point: 24 instructions, two of them
// slow ones. Nothing is pushed: the caller may keep things in the red zone.
[[gnu::always_inline]] inline void jump(Context& from, Context& to) {
    Context* left = &from;
    Context* self = &to;
    asm volatile(
        "movq %%rsp, %c[sp](%%rdi)\n\t"
        "movq %%rbp, %c[fp](%%rdi)\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rax, %c[ip](%%rdi)\n\t"
        "movq %c[sp](%%rsi), %%rsp\n\t"
        "movq %c[fp](%%rsi), %%rbp\n\t"
        "jmpq *%c[ip](%%rsi)\n"
        "1:"
        : "+D"(left), "+S"(self)
        : [sp] "i"(offsetof(Context, stack_pointer)), [fp] "i"(offsetof(Context, frame_pointer)),
          [ip] "i"(offsetof(Context, resume))
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
          "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
          "xmm14", "xmm15", "cc", "memory");
    land(*left, *self);
}

#else

// Boost's.
void jump(Context& from, Context& to);

#endif

}  // namespace detail

[[gnu::always_inline]] inline void switch_context(Context& from, Context& to, ExceptionGlobals& globals,
                                                  [[maybe_unused]] bool last) {
    // Both sides are the same thread's, so both halves are done here; nothing is thrown in between.
    from.caught_exceptions = globals.caught_exceptions;
    from.uncaught_exceptions = globals.uncaught_exceptions;
    globals.caught_exceptions = to.caught_exceptions;
    globals.uncaught_exceptions = to.uncaught_exceptions;
#if SLUICE_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.stack_bottom, to.stack_size);
#endif
#if SLUICE_TSAN
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
    detail::jump(from, to);
}

}  // namespace sluice::runtime
