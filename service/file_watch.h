#pragma once

// Tells when the configuration file has changed, however it was changed: written in place, replaced by
// another (an editor), or reached by a symbolic link that was turned (a Kubernetes ConfigMap). By inotify:
// nothing is polled.

#include <cstdint>
#include <mutex>
#include <string>

#include "runtime/spin_lock.h"

namespace sluice::runtime {
class PollSlot;
}

namespace sluice {

class FileWatch {
  public:
    /// Throws std::system_error when the kernel has no watch to give.
    explicit FileWatch(std::string path);
    ~FileWatch();
    FileWatch(const FileWatch&) = delete;

    /// Parks until the file is another than at the last call, or at construction, and has stood still for a
    /// moment. False after cancel(). One task.
    bool wait();
    /// Any thread.
    void cancel();

  private:
    /// What tells two states of a file apart.
    struct Mark {
        std::uint64_t inode = 0, size = 0;
        std::int64_t changed_ns = 0;
        bool operator==(const Mark&) const = default;
    };
    Mark look() const;
    void watch_file();
    bool wait_for_event(runtime::PollSlot& slot);

    const std::string path_;
    int descriptor_ = -1;
    Mark known_;

    runtime::SpinLock lock_;
    runtime::PollSlot* slot_ = nullptr;  // of the wait() under way; guarded by lock_
    bool cancelled_ = false;             // guarded by lock_
};

}  // namespace sluice
