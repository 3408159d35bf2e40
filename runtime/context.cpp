#include "runtime/context.h"

#include <cstddef>

#include <boost/context/detail/fcontext.hpp>
#include <cxxabi.h>

#include "runtime/check.h"
#include "runtime/sanitizer.h"

namespace sluice::runtime {

namespace {

thread_local ExceptionGlobals* globals_of_thread = nullptr;

void begin(Context& left, Context& self) {
    // The end of the stack, for whoever walks it: there is no caller whose frame could be found.
#if defined(__x86_64__)
    asm volatile(".cfi_undefined rip");
#elif defined(__aarch64__)
    asm volatile(".cfi_undefined x30");
#endif
    detail::land(left, self);
    self.entry();
    SLUICE_CHECK(false, "the entry of a context never returns");
}

#if defined(__x86_64__)

// begin() is entered as if called: its arguments in the registers where jump() has them, and a return address
// (none) on the stack.
void prepare(Context& context, void*, void* top) {
    void** const return_address = static_cast<void**>(top) - 1;
    *return_address = nullptr;
    context.stack_pointer = return_address;
    context.frame_pointer = nullptr;
    context.resume = reinterpret_cast<void*>(&begin);
}

#else

namespace fiber = boost::context::detail;

struct Jump {
    Context* from;
    Context* to;
};

void prepare(Context& context, void* bottom, void* top) {
    const auto size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    context.stack_pointer = fiber::make_fcontext(top, size, [](fiber::transfer_t transfer) {
        const Jump both = *static_cast<Jump*>(transfer.data);
        both.from->stack_pointer = transfer.fctx;
        begin(*both.from, *both.to);
    });
}

#endif

}  // namespace

ExceptionGlobals& exception_globals() {
    asm volatile("" ::: "memory");
    if (globals_of_thread == nullptr) {
        globals_of_thread = reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
    }
    return *globals_of_thread;
}

#if !defined(__x86_64__)
void detail::jump(Context& from, Context& to) {
    Jump both{&from, &to};
    const fiber::transfer_t transfer = fiber::jump_fcontext(to.stack_pointer, &both);
    Context& left = *static_cast<Jump*>(transfer.data)->from;
    left.stack_pointer = transfer.fctx;
    land(left, from);
}
#endif

void adopt_thread([[maybe_unused]] Context& context) {
#if SLUICE_TSAN
    context.fiber = __tsan_get_current_fiber();
#endif
    context.stack_bottom = nullptr;
}

void make_context(Context& context, void* bottom, void* top, void (*entry)()) {
    const auto size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    prepare(context, bottom, top);
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
