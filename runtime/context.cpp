#include "runtime/context.h"

#include <boost/context/detail/fcontext.hpp>
#include <cxxabi.h>

#include "runtime/check.h"
#include "runtime/sanitizer.h"

namespace sluice::runtime {

namespace {

namespace fiber = boost::context::detail;

// As the Itanium C++ ABI (2.2.2) lays it out; <cxxabi.h> only declares it.
struct ExceptionGlobals {
    void* caught_exceptions;
    unsigned uncaught_exceptions;
};

thread_local ExceptionGlobals* globals_of_thread = nullptr;

// __cxa_get_globals() is declared const, so a compiler may reuse what it returned before a switch, for
// another thread. This is opaque, and spares the call into the C++ library.
[[gnu::noinline]] ExceptionGlobals& exception_globals() {
    asm volatile("" ::: "memory");
    if (globals_of_thread == nullptr) {
        globals_of_thread = reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
    }
    return *globals_of_thread;
}

struct Jump {
    Context* from;
    Context* to;
};

// On the stack arrived at: notes where the flow that was left stands.
void land(const fiber::transfer_t& transfer, Context& self) {
    const Jump jump = *static_cast<Jump*>(transfer.data);
    jump.from->stack_pointer = transfer.fctx;
#if SLUICE_ASAN
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &size);
    if (jump.from->stack_bottom == nullptr) {
        jump.from->stack_bottom = bottom;
        jump.from->stack_size = size;
    }
#endif
    ExceptionGlobals& globals = exception_globals();
    globals.caught_exceptions = self.caught_exceptions;
    globals.uncaught_exceptions = self.uncaught_exceptions;
}

void begin(fiber::transfer_t transfer) {
    // The end of the stack, for whoever walks it: there is no caller whose frame could be found.
#if defined(__x86_64__)
    asm volatile(".cfi_undefined rip");
#elif defined(__aarch64__)
    asm volatile(".cfi_undefined x30");
#endif
    Context& self = *static_cast<Jump*>(transfer.data)->to;
    land(transfer, self);
    self.entry();
    SLUICE_CHECK(false, "the entry of a context never returns");
}

}  // namespace

void adopt_thread([[maybe_unused]] Context& context) {
#if SLUICE_TSAN
    context.fiber = __tsan_get_current_fiber();
#endif
    context.stack_bottom = nullptr;
}

void make_context(Context& context, void* bottom, void* top, void (*entry)()) {
    const auto size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    context.stack_pointer = fiber::make_fcontext(top, size, &begin);
    context.entry = entry;
    context.caught_exceptions = nullptr;
    context.uncaught_exceptions = 0;
    context.stack_bottom = bottom;
    context.stack_size = size;
    context.fake_stack = nullptr;
#if SLUICE_TSAN
    if (context.fiber == nullptr) context.fiber = __tsan_create_fiber(0);
#endif
}

void switch_context(Context& from, Context& to, [[maybe_unused]] bool last) {
    const ExceptionGlobals& globals = exception_globals();
    from.caught_exceptions = globals.caught_exceptions;
    from.uncaught_exceptions = globals.uncaught_exceptions;
    Jump jump{&from, &to};
#if SLUICE_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.stack_bottom, to.stack_size);
#endif
#if SLUICE_TSAN
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
    land(fiber::jump_fcontext(to.stack_pointer, &jump), from);
}

void forget_context([[maybe_unused]] Context& context, [[maybe_unused]] bool for_good) {
#if SLUICE_ASAN
    // Frames that were never returned from leave their redzones poisoned.
    ASAN_UNPOISON_MEMORY_REGION(context.stack_bottom, context.stack_size);
#endif
#if SLUICE_TSAN
    if (for_good && context.fiber != nullptr) {
        __tsan_destroy_fiber(context.fiber);
        context.fiber = nullptr;
    }
#endif
}

}  // namespace sluice::runtime
