#pragma once

// Tells when a file has changed, however it was changed: written in place, replaced by another (an editor),
// reached by a symbolic link that was turned (a Kubernetes ConfigMap, a renewed certificate), or in a folder
// that was exchanged, itself or one above it. By inotify: nothing is polled.

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/spin_lock.h"

namespace sluice::runtime {
class PollSlot;
}

namespace sluice {

class FileWatch {
  public:
    /// Throws std::system_error when the kernel has no watch to give.
    explicit FileWatch(std::vector<std::string> paths);
    ~FileWatch();
    FileWatch(const FileWatch&) = delete;

    /// Parks until one of the files is another than at the last call, or since it is followed, and all have
    /// stood still for a moment. False after cancel(). One task.
    bool wait();
    /// From now on these files. What has happened to one that was followed already is not forgotten. Any
    /// task.
    void follow(const std::vector<std::string>& paths);
    /// Any thread.
    void cancel();

  private:
    /// What tells two states of a file apart.
    struct Mark {
        std::uint64_t device = 0, inode = 0, size = 0;
        std::int64_t changed_ns = 0;
        bool operator==(const Mark&) const = default;
    };
    struct File {
        std::string path;
        Mark known;
        bool operator==(const File&) const = default;
    };
    /// By watch of the kernel, the names of which an event tells something new: those in a folder that lead
    /// to one of the files; the empty one for a file itself.
    using Watches = std::map<int, std::set<std::string, std::less<>>>;

    static Mark look(const std::string& path);
    std::vector<File> look_at_all();
    bool watch(const std::string& path, std::uint32_t events, const std::string& name, Watches& out) const;
    int watch_way_to(const std::string& file, Watches& out) const;
    void watch_all();
    bool take_changes();
    bool wait_for_event(runtime::PollSlot& slot);
    bool take_events() const;

    const int descriptor_;

    mutable std::mutex files_lock_;
    std::vector<File> files_;  // guarded by files_lock_
    Watches watches_;          // guarded by files_lock_
    bool looking_ = false;     // after an event, until wait() has seen what it comes to

    runtime::SpinLock lock_;
    runtime::PollSlot* slot_ = nullptr;  // of the wait() under way; guarded by lock_
    bool cancelled_ = false;             // guarded by lock_
};

}  // namespace sluice
