#include "service/file_watch.h"

#include <algorithm>
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

FileWatch::FileWatch(std::vector<std::string> paths)
    : descriptor_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (descriptor_ < 0) fail("inotify_init1");
    try {
        for (const std::string& path : paths) watch_folder(path);
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
    follow(paths);
}

FileWatch::~FileWatch() {
    ::close(descriptor_);
}

void FileWatch::watch_folder(const std::string& path) {
    const std::string folder = std::filesystem::absolute(path).parent_path().string();
    constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM;
    const int watch = ::inotify_add_watch(descriptor_, folder.c_str(), kNames);
    if (watch < 0) fail("inotify_add_watch");
    if (std::ranges::find(folders_, watch) == folders_.end()) folders_.push_back(watch);
}

void FileWatch::follow(const std::vector<std::string>& paths) {
    const std::scoped_lock hold(files_lock_);
    std::vector<int> former;
    former.swap(folders_);
    std::vector<File> files;
    for (const std::string& path : paths) {
        try {
            watch_folder(path);
        } catch (const std::system_error&) {
            // A folder that is gone, or one too many: its files are read with the next reload.
        }
        const auto known = std::ranges::find(files_, path, &File::path);
        files.push_back(known != files_.end() ? *known : File{path, look(path)});
    }
    for (const int watch : former)
        if (std::ranges::find(folders_, watch) == folders_.end()) ::inotify_rm_watch(descriptor_, watch);
    files_.swap(files);
    for (const File& file : files_) watch_file(file.path);
}

// Besides the folder: a file that was mounted alone into a container changes where this folder does not hear
// of it.
void FileWatch::watch_file(const std::string& path) const {
    ::inotify_add_watch(descriptor_, path.c_str(), IN_CLOSE_WRITE | IN_ATTRIB);
}

FileWatch::Mark FileWatch::look(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return {};
    return {status.st_ino, static_cast<std::uint64_t>(status.st_size),
            std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

// The files as they are now.
std::vector<FileWatch::File> FileWatch::look_at_all() const {
    const std::scoped_lock hold(files_lock_);
    std::vector<File> files = files_;
    for (File& file : files) file.known = look(file.path);
    return files;
}

// Whether a file is there that is another than before; from now on it is known.
bool FileWatch::take_changes() {
    const std::scoped_lock hold(files_lock_);
    bool changed = false;
    for (File& file : files_) {
        const Mark seen = look(file.path);
        if (seen == file.known || seen == Mark{}) continue;
        file.known = seen;
        changed = true;
    }
    for (const File& file : files_) watch_file(file.path);  // another file may have its name now
    return changed;
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
        auto seen = look_at_all();
        for (decltype(seen) before; seen != before;) {
            before = std::move(seen);
            runtime::this_task::sleep_for(kStill);
            seen = look_at_all();
        }
        changed = take_changes();
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
