#include "runtime/timer_queue.h"

#include "runtime/netpoller.h"

namespace sluice::runtime {

template class BasicTimerQueue<StdAtomics, SpinLock, Netpoller>;

}  // namespace sluice::runtime
