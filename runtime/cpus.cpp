#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include <sched.h>

#include "runtime/scheduler.h"

namespace sluice::runtime {

namespace {

// The CPUs that a quota grants, of "QUOTA PERIOD" in microseconds; none when there is no quota.
double share(const std::string& quota, double period) {
    if (quota.empty() || quota == "max" || quota[0] == '-' || period <= 0) return HUGE_VAL;
    return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v2(const std::string& root, const std::string& group) {
    std::string quota;
    double period = 0;
    std::ifstream(root + "/sys/fs/cgroup" + group + "/cpu.max") >> quota >> period;
    return share(quota, period);
}

double quota_v1(const std::string& root, const std::string& group) {
    std::string quota;
    double period = 0;
    std::ifstream(root + "/sys/fs/cgroup/cpu" + group + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(root + "/sys/fs/cgroup/cpu" + group + "/cpu.cfs_period_us") >> period;
    return share(quota, period);
}

// The tightest quota on the way from our group up to the root. In a container the path named may lie outside
// what is mounted; the root of what is mounted is ours then, and is always looked at.
double quota_of(const std::string& root, std::string group,
                double (*quota)(const std::string&, const std::string&)) {
    double least = quota(root, "");
    for (; group.size() > 1; group.erase(group.rfind('/'))) least = std::min(least, quota(root, group));
    return least;
}

double cgroup_quota(const std::string& root) {
    double least = HUGE_VAL;
    std::ifstream groups(root + "/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {  // ID:CONTROLLERS:PATH
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string path = line.substr(second + 1);
        if (controllers == ",,") least = std::min(least, quota_of(root, path, &quota_v2));
        if (controllers.find(",cpu,") != std::string::npos)
            least = std::min(least, quota_of(root, path, &quota_v1));
    }
    return least;
}

}  // namespace

unsigned available_cpus(const std::string& system_root) {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int affinity = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const double granted = std::ceil(std::min(static_cast<double>(affinity), cgroup_quota(system_root)));
    return std::max(1U, static_cast<unsigned>(granted));
}

}  // namespace sluice::runtime
