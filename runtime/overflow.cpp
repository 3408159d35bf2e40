#include "runtime/overflow.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <span>

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/sanitizer.h"
#include "runtime/scheduler_state.h"
#include "runtime/symbols.h"

namespace sluice::runtime {

namespace {

constexpr std::size_t kSignalStackBytes = std::size_t{64} << 10;
constexpr int kFramesMax = 32;

struct sigaction before;

// The running task, if `address` lies in the guard of its stack.
const Task* overflowing(const void* address) {
    const Worker* const worker = Worker::here();
    const Task* const task = worker != nullptr ? worker->current() : nullptr;
    return task != nullptr && worker->scheduler().state().stacks.in_guard(*task, address) ? task : nullptr;
}

void write_line(std::span<const char> text) {
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

// In a signal handler: nothing here allocates or takes a lock, so the names stay as the linker writes them.
// (The unwinder loads its library at its first call, which install_overflow_report() makes.)
void report_frames() {
    std::array<void*, kFramesMax> frames;
    const auto count = static_cast<std::size_t>(std::max(::backtrace(frames.data(), kFramesMax), 0));
    std::array<Symbol, kFramesMax> found;
    for (std::size_t i = 0; i < count; ++i) found[i].address = reinterpret_cast<std::uintptr_t>(frames[i]);
    const auto sorted = std::span(found).first(count);
    std::ranges::sort(sorted, {}, &Symbol::address);
    const Symbols symbols;
    symbols.find(sorted);
    for (std::size_t i = 0; i < count; ++i) {
        const auto address = reinterpret_cast<std::uintptr_t>(frames[i]);
        const Symbol& symbol = *std::ranges::lower_bound(sorted, address, {}, &Symbol::address);
        write_line(FrameLine(symbol, symbol.function).text());
    }
}

void report(const Task& task) {
    std::array<char, 512> text;
    const auto bytes = reinterpret_cast<const char*>(&task) - static_cast<const char*>(task.stack_bottom);
    const int length = std::snprintf(
        text.data(), text.size(), "task %llu, spawned at %s:%u, overflowed its stack of %td bytes\n",
        static_cast<unsigned long long>(task.id.load()), task.file.load(), task.line.load(), bytes);
    const auto size = std::min(static_cast<std::size_t>(std::max(length, 0)), text.size());
    write_line(std::span<const char>(text).first(size));
    report_frames();
}

// Afterwards the instruction faults again, before whoever handled this signal earlier: by default, the end.
void on_fault(int signal, siginfo_t* info, void*) {
    const bool sent = info->si_code <= 0;  // by kill(): no instruction is to be repeated
    if (const Task* const task = sent ? nullptr : overflowing(info->si_addr)) report(*task);
    ::sigaction(signal, &before, nullptr);
    if (sent) ::raise(signal);
}

}  // namespace

void install_overflow_report() {
    static std::once_flag once;
    if (kAsan) return;
    std::call_once(once, [] {
        void* frame = nullptr;
        ::backtrace(&frame, 1);
        struct sigaction action{};
        action.sa_sigaction = &on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigaction(SIGSEGV, &action, &before);
    });
}

SignalStack::SignalStack() {
    if (kAsan) return;
    void* const memory = ::mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = kSignalStackBytes;
    if (::sigaltstack(&stack, nullptr) == 0) {
        memory_ = memory;
    } else {
        ::munmap(memory, kSignalStackBytes);
    }
}

SignalStack::~SignalStack() {
    if (memory_ == nullptr) return;
    stack_t stack{};
    stack.ss_flags = SS_DISABLE;
    ::sigaltstack(&stack, nullptr);
    ::munmap(memory_, kSignalStackBytes);
}

}  // namespace sluice::runtime
