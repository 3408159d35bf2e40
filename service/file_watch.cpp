#include "service/file_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <mutex>
#include <new>
#include <string_view>
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

constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM;
constexpr int kMostLinks = 40;  // as the kernel has it

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

FileWatch::FileWatch(std::vector<std::string> paths)
    : descriptor_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (descriptor_ < 0) fail("inotify_init1");
    try {
        for (const std::string& path : paths)
            if (const int error = watch_way_to(path, watches_))
                throw std::system_error(error, std::generic_category(), "inotify_add_watch");
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
    follow(paths);
}

FileWatch::~FileWatch() {
    ::close(descriptor_);
}

void FileWatch::follow(const std::vector<std::string>& paths) {
    const std::scoped_lock hold(files_lock_);
    std::vector<File> former;
    for (const std::string& path : paths) former.push_back({path, {}});
    former.swap(files_);
    watch_all();
    // Only now: what changes from here on is an event.
    for (File& file : files_) {
        const auto known = std::ranges::find(former, file.path, &File::path);
        file.known = known != former.end() ? known->known : look(file.path);
    }
}

// False, with errno, when there is none to be had.
bool FileWatch::watch(const std::string& path, std::uint32_t events, const std::string& name,
                      Watches& out) const {
    // To what is watched there already, for another file.
    const int watch = ::inotify_add_watch(descriptor_, path.c_str(), events | IN_MASK_ADD);
    if (watch >= 0) out[watch].insert(name);
    return watch >= 0;
}

// Step by step as the kernel finds the file, from the root on and through each link: any step may be
// exchanged. Each folder is watched before what it leads to is looked at, so that nothing happens between the
// two. What cannot be watched, or is not there, is left to the steps before it; only the folder that the file
// itself is in has to be watched. 0, or errno.
int FileWatch::watch_way_to(const std::string& file, Watches& out) const {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const fs::path whole = fs::absolute(file, ignored);
    std::deque<fs::path> steps(whole.begin(), whole.end());
    fs::path folder = "/";
    int error = ENOENT;
    for (int links = 0; !steps.empty();) {
        const fs::path step = steps.front();
        steps.pop_front();
        if (step.empty() || step == "/" || step == ".") continue;
        if (step == "..") {
            folder = folder.parent_path();
            continue;
        }
        const bool last = steps.empty();
        error = watch(folder, kNames | (last ? IN_CLOSE_WRITE : 0), step, out) ? 0 : errno;
        const fs::path here = folder / step;
        const fs::file_type type = fs::symlink_status(here, ignored).type();
        if (type == fs::file_type::symlink) {
            const fs::path target = fs::read_symlink(here, ignored);
            if (++links > kMostLinks) return ELOOP;
            if (target.is_absolute()) folder = "/";
            steps.insert(steps.begin(), target.begin(), target.end());
        } else if (last) {
            // Besides its folder: a file that was mounted alone into a container changes where this folder
            // does not hear of it.
            (void)watch(here, IN_CLOSE_WRITE | IN_ATTRIB, "", out);
        } else if (type != fs::file_type::directory) {
            return ENOENT;
        } else {
            folder = here;
        }
    }
    return error;
}

// Where the ways lead now; what they no longer lead through is watched no more. REQUIRES: files_lock_ is
// held.
void FileWatch::watch_all() {
    Watches now;
    // A folder that is gone, or one too many: its files are read with the next reload.
    for (const File& file : files_) (void)watch_way_to(file.path, now);
    for (const auto& [watch, names] : watches_)
        if (!now.contains(watch)) ::inotify_rm_watch(descriptor_, watch);
    watches_ = std::move(now);
}

FileWatch::Mark FileWatch::look(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return {};
    return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
            std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

// The files as they are now, where their names lead now.
std::vector<FileWatch::File> FileWatch::look_at_all() {
    const std::scoped_lock hold(files_lock_);
    watch_all();
    std::vector<File> files = files_;
    for (File& file : files) file.known = look(file.path);
    return files;
}

// Whether a file is there that is another than before; from now on it is known.
bool FileWatch::take_changes() {
    const std::scoped_lock hold(files_lock_);
    watch_all();
    bool changed = false;
    for (File& file : files_) {
        const Mark seen = look(file.path);
        if (seen == file.known || seen == Mark{}) continue;
        file.known = seen;
        changed = true;
    }
    return changed;
}

bool FileWatch::wait() {
    runtime::PollSlot* const slot = runtime::PollSlot::open(descriptor_);
    if (slot == nullptr) throw std::bad_alloc();
    {
        const std::scoped_lock hold(lock_);
        slot_ = slot;
        if (cancelled_) slot->cancel(slot->generation());
    }
    const struct Watched {  // also when memory runs out
        FileWatch& watch;
        runtime::PollSlot& slot;
        ~Watched() {
            {
                const std::scoped_lock hold(watch.lock_);
                watch.slot_ = nullptr;
            }
            slot.detach();
        }
    } watched{*this, *slot};
    bool changed = false;
    while (!changed && (looking_ || wait_for_event(*slot))) {
        looking_ = true;
        auto seen = look_at_all();
        for (decltype(seen) before; seen != before;) {
            before = std::move(seen);
            runtime::this_task::sleep_for(kStill);
            seen = look_at_all();
        }
        changed = take_changes();
        looking_ = false;
    }
    return changed;
}

bool FileWatch::wait_for_event(runtime::PollSlot& slot) {
    do {
        if (slot.wait(runtime::Half::read, runtime::kNever, runtime::WaitReason::net_read) !=
            runtime::Outcome::woken) {
            return false;
        }
        slot.clear(runtime::Half::read);
    } while (!take_events());
    return true;
}

// Whether one of those that have come is about a step on the way to a file: in /tmp, say, much else happens.
bool FileWatch::take_events() const {
    alignas(inotify_event) std::array<char, 4096> events;
    bool matters = false;
    for (ssize_t size; (size = ::read(descriptor_, events.data(), events.size())) > 0;) {
        const std::scoped_lock hold(files_lock_);
        for (const char* at = events.data(); at < events.data() + size;) {
            const auto* const event = reinterpret_cast<const inotify_event*>(at);
            const std::string_view name = event->len > 0 ? event->name : "";
            const auto watch = watches_.find(event->wd);
            matters |= (event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) != 0 ||
                       (watch != watches_.end() && watch->second.contains(name));
            at += sizeof(inotify_event) + event->len;
        }
    }
    return matters;
}

void FileWatch::cancel() {
    const std::scoped_lock hold(lock_);
    cancelled_ = true;
    if (slot_ != nullptr) slot_->cancel(slot_->generation());
}

}  // namespace sluice
