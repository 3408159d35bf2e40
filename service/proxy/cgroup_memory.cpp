#include "service/proxy/cgroup_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>

namespace sluice::proxy {

// The files of a group. Of v2's two limits the lower one counts: above memory.high a group is throttled until
// it hardly moves.
struct CgroupMemory::Version {
    const char* limit;
    const char* second_limit;
    const char* used;
    const char* inactive_file;  // in memory.stat; of the groups below too
};

namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
// v1 has no word for none: it says the largest multiple of a page.
constexpr std::uint64_t kNoLimitFrom = std::uint64_t{1} << 60;

// "max", and what cannot be read, is no limit.
std::uint64_t limit_in(const std::string& file) {
    std::uint64_t limit = 0;
    return std::ifstream(file) >> limit && limit < kNoLimitFrom ? limit : kNoLimit;
}

std::uint64_t value_of(const std::string& file, const std::string& name) {
    std::ifstream in(file);
    std::string key;
    for (std::uint64_t value = 0; in >> key >> value;)
        if (key == name) return value;
    return 0;
}

}  // namespace

CgroupMemory::CgroupMemory(const std::string& mounted_at, const std::string& groups_of_process) {
    static constexpr Version kV2{"memory.max", "memory.high", "memory.current", "inactive_file"};
    static constexpr Version kV1{"memory.limit_in_bytes", nullptr, "memory.usage_in_bytes",
                                 "total_inactive_file"};
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
    for (; group.size() > 1; group.erase(group.rfind('/'))) levels_.push_back({root + group, &version});
    levels_.push_back({root, &version});
}

std::optional<MemoryUse> CgroupMemory::read() const {
    std::optional<MemoryUse> nearest;
    for (const Level& level : levels_) {
        const auto use = read(level);
        if (use && (!nearest || use->share() > nearest->share())) nearest = use;
    }
    return nearest;
}

std::optional<MemoryUse> CgroupMemory::read(const Level& level) {
    const std::string folder = level.folder + "/";
    std::uint64_t limit = limit_in(folder + level.version->limit);
    if (level.version->second_limit != nullptr)
        limit = std::min(limit, limit_in(folder + level.version->second_limit));
    if (limit == kNoLimit || limit == 0) return std::nullopt;
    std::uint64_t used = 0;
    if (!(std::ifstream(folder + level.version->used) >> used)) return std::nullopt;
    const std::uint64_t cache = value_of(folder + "memory.stat", level.version->inactive_file);
    return MemoryUse{.used = used - std::min(used, cache), .limit = limit};
}

}  // namespace sluice::proxy
