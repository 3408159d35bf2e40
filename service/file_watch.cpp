#include "service/file_watch.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <system_error>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/netpoller.h"
#include "runtime/this_task.h"

namespace sluice {

using namespace std::chrono_literals;

namespace {

// Files are written in several steps; what is read in the middle of them would not validate, and be
// complained about.
constexpr runtime::Duration kStill = 50ms;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

FileWatch::FileWatch(std::string path)
    : path_(std::move(path)), descriptor_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (descriptor_ < 0) fail("inotify_init1");
    const std::string folder = std::filesystem::absolute(path_).parent_path().string();
    constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM;
    if (::inotify_add_watch(descriptor_, folder.c_str(), kNames) < 0) {
        ::close(descriptor_);
        fail("inotify_add_watch");
    }
    watch_file();
    known_ = look();
}

FileWatch::~FileWatch() {
    ::close(descriptor_);
}

// Besides the folder: a file that was mounted alone into a container changes where this folder does not hear
// of it.
void FileWatch::watch_file() {
    ::inotify_add_watch(descriptor_, path_.c_str(), IN_CLOSE_WRITE | IN_ATTRIB);
}

FileWatch::Mark FileWatch::look() const {
    struct stat status{};
    if (::stat(path_.c_str(), &status) != 0) return {};
    return {status.st_ino, static_cast<std::uint64_t>(status.st_size),
            std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

bool FileWatch::wait() {
    runtime::PollSlot* const slot = runtime::PollSlot::open(descriptor_);
    if (slot == nullptr) return false;
    {
        const std::scoped_lock hold(lock_);
        slot_ = slot;
        if (cancelled_) slot->cancel(slot->generation());
    }
    bool changed = false;
    while (!changed && wait_for_event(*slot)) {
        Mark seen = look();
        for (Mark before; seen != before;) {
            before = seen;
            runtime::this_task::sleep_for(kStill);
            seen = look();
        }
        changed = seen != known_ && seen != Mark{};
        if (changed) known_ = seen;
        watch_file();  // another file may have its name now
    }
    {
        const std::scoped_lock hold(lock_);
        slot_ = nullptr;
    }
    slot->detach();
    return changed;
}

bool FileWatch::wait_for_event(runtime::PollSlot& slot) {
    if (slot.wait(runtime::Half::read, runtime::kNever, runtime::WaitReason::net_read) !=
        runtime::Outcome::woken) {
        return false;
    }
    slot.clear(runtime::Half::read);
    std::array<char, 4096> events;
    while (::read(descriptor_, events.data(), events.size()) > 0) {
    }
    return true;
}

void FileWatch::cancel() {
    const std::scoped_lock hold(lock_);
    cancelled_ = true;
    if (slot_ != nullptr) slot_->cancel(slot_->generation());
}

}  // namespace sluice
