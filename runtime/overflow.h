#pragma once

namespace sluice::runtime {

// What a task that runs off the end of its stack leaves on stderr before the process dies of SIGSEGV: its id,
// where it was spawned, the size of its stack, and its frames. Any other fault goes on to whoever handled it
// before.

// install_overflow_report() sets the handler, once for the process. Not under AddressSanitizer, which has its
// own.
void install_overflow_report();

// SignalStack: the calling thread's stack for signal handlers, while it lives; a task that has no stack left
// cannot run one on its own.
class SignalStack {
  public:
    SignalStack();
    ~SignalStack();
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

  private:
    void* memory_ = nullptr;
};

}  // namespace sluice::runtime
