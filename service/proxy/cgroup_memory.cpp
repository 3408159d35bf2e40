#include "service/proxy/cgroup_memory.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace sluice::proxy {

// The files of a group. Of v2's two limits the lower one counts: above memory.high a group is throttled until
// it hardly moves.
struct CgroupMemory::Version {
    std::vector<const char*> limits;
    const char* used;
    const char* inactive_file;  // in memory.stat; of the groups below too
};

namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
// v1 has no word for none: it says the largest multiple of a page.
constexpr std::uint64_t kNoLimitFrom = std::uint64_t{1} << 60;

int open(const std::string& path) {
    return ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

std::uint64_t value_of(const std::string& text, const std::string& name) {
    std::istringstream in(text);
    std::string key;
    for (std::uint64_t value = 0; in >> key >> value;)
        if (key == name) return value;
    return 0;
}

std::optional<std::string> read_from_start(int descriptor) {
    std::string text;
    std::array<char, 4096> room;
    for (;;) {
        const ssize_t size = ::pread(descriptor, room.data(), room.size(), static_cast<off_t>(text.size()));
        if (size < 0) return std::nullopt;
        if (size == 0) return text;
        text.append(room.data(), static_cast<std::size_t>(size));
    }
}

}  // namespace

CgroupMemory::File::File(std::string path) : path_(std::move(path)), descriptor_(open(path_)) {}

CgroupMemory::File::File(File&& other) noexcept
    : path_(other.path_), descriptor_(std::exchange(other.descriptor_, -1)) {}

CgroupMemory::File::~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<std::string> CgroupMemory::File::text() const {
    if (descriptor_ >= 0) return read_from_start(descriptor_);
    const int descriptor = open(path_);
    if (descriptor < 0) return std::nullopt;
    auto text = read_from_start(descriptor);
    ::close(descriptor);
    return text;
}

CgroupMemory::CgroupMemory(const std::string& mounted_at, const std::string& groups_of_process) {
    static const Version kV2{{"memory.max", "memory.high"}, "memory.current", "inactive_file"};
    static const Version kV1{{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"};
    std::ifstream groups(groups_of_process);
    for (std::string line; std::getline(groups, line);) {  // ID:CONTROLLERS:PATH
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string group = line.substr(second + 1);
        if (controllers == ",,") add_levels(mounted_at, group, kV2);
        if (controllers.find(",memory,") != std::string::npos) add_levels(mounted_at + "/memory", group, kV1);
    }
}

// In a container the path named may lie outside what is mounted; the root of what is mounted is ours then,
// and is always looked at.
void CgroupMemory::add_levels(const std::string& root, std::string group, const Version& version) {
    const auto add = [&](const std::string& folder) {
        Level level{&version, {}, File(folder + "/" + version.used), File(folder + "/memory.stat")};
        for (const char* name : version.limits) level.limits.emplace_back(folder + "/" + name);
        levels_.push_back(std::move(level));
    };
    for (; group.size() > 1; group.erase(group.rfind('/'))) add(root + group);
    add(root);
}

std::optional<MemoryUse> CgroupMemory::read() const {
    std::optional<MemoryUse> nearest;
    for (const Level& level : levels_) {
        const auto use = read(level);
        if (use && (!nearest || use->share() > nearest->share())) nearest = use;
    }
    return nearest;
}

// "max", and what cannot be read, is no limit.
std::uint64_t CgroupMemory::limit_in(const File& file) {
    std::uint64_t limit = 0;
    return std::istringstream(file.text().value_or("")) >> limit && limit < kNoLimitFrom ? limit : kNoLimit;
}

std::optional<MemoryUse> CgroupMemory::read(const Level& level) {
    std::uint64_t limit = kNoLimit;
    for (const File& each : level.limits) limit = std::min(limit, limit_in(each));
    if (limit == kNoLimit || limit == 0) return std::nullopt;
    std::uint64_t used = 0;
    if (!(std::istringstream(level.used.text().value_or("")) >> used)) return std::nullopt;
    const std::uint64_t cache = value_of(level.stat.text().value_or(""), level.version->inactive_file);
    return MemoryUse{.used = used - std::min(used, cache), .limit = limit};
}

}  // namespace sluice::proxy
