#include "runtime/barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::runtime {

namespace {

bool call(int command) {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

}  // namespace

bool heavy_barrier() {
    static const bool registered = call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    if (!registered || !call(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return true;
}

}  // namespace sluice::runtime
