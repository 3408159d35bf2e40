#include "runtime/mutex_slow.h"

namespace sluice::runtime {

template class BasicMutex<OnTasks>;

}  // namespace sluice::runtime
