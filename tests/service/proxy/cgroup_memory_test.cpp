#include "service/proxy/cgroup_memory.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace sluice::proxy {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// The files of a kernel that is not there.
class Groups {
  public:
    Groups() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-cgroup-XXXXXX").string();
        root_ = ::mkdtemp(name.data());
    }
    ~Groups() { std::filesystem::remove_all(root_); }

    void write(const std::string& file, const std::string& text) const {
        const std::filesystem::path path = root_ / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text << "\n";
    }
    std::filesystem::path path(const std::string& file) const { return root_ / file; }
    CgroupMemory memory() const { return CgroupMemory(root_.string(), (root_ / "self").string()); }

  private:
    std::filesystem::path root_;
};

TEST(CgroupMemory, ReadsVersion2WithoutInactiveFileCache) {
    const Groups groups;
    groups.write("self", "0::/app");
    groups.write("app/memory.max", "104857600");
    groups.write("app/memory.high", "max");
    groups.write("app/memory.current", "73400320");
    groups.write("app/memory.stat", "anon 1\nfile 2\ninactive_anon 7\ninactive_file 20971520\nactive_file 9");
    EXPECT_EQ(groups.memory().read(), (MemoryUse{.used = 50 * kMiB, .limit = 100 * kMiB}));
}

TEST(CgroupMemory, TakesTheLowerOfVersion2sTwoLimits) {
    const Groups groups;
    groups.write("self", "0::/");
    groups.write("memory.max", "104857600");
    groups.write("memory.high", "52428800");
    groups.write("memory.current", "1048576");
    EXPECT_EQ(groups.memory().read(), (MemoryUse{.used = kMiB, .limit = 50 * kMiB}));
}

TEST(CgroupMemory, ReadsVersion1WithoutInactiveFileCache) {
    const Groups groups;
    groups.write("self", "9:name=systemd:/\n4:cpu,memory:/docker/ab\n0::/");
    groups.write("memory/docker/ab/memory.limit_in_bytes", "104857600");
    groups.write("memory/docker/ab/memory.usage_in_bytes", "94371840");
    groups.write("memory/docker/ab/memory.stat", "inactive_file 5\ntotal_inactive_file 41943040");
    groups.write("memory/docker/memory.limit_in_bytes", "9223372036854771712");
    EXPECT_EQ(groups.memory().read(), (MemoryUse{.used = 50 * kMiB, .limit = 100 * kMiB}));
}

TEST(CgroupMemory, TheGroupNearestToItsLimitCounts) {
    const Groups groups;
    groups.write("self", "0::/pod/container");
    groups.write("pod/container/memory.max", "104857600");
    groups.write("pod/container/memory.current", "10485760");
    groups.write("pod/memory.max", "209715200");
    groups.write("pod/memory.current", "199229440");
    EXPECT_EQ(groups.memory().read(), (MemoryUse{.used = 190 * kMiB, .limit = 200 * kMiB}));
}

// A container sees the path of the host in /proc/self/cgroup, and its own group as the root.
TEST(CgroupMemory, LooksAtTheRootOfWhatIsMounted) {
    const Groups groups;
    groups.write("self", "0::/kubepods/pod1/abc");
    groups.write("memory.max", "104857600");
    groups.write("memory.current", "10485760");
    EXPECT_EQ(groups.memory().read(), (MemoryUse{.used = 10 * kMiB, .limit = 100 * kMiB}));
}

TEST(CgroupMemory, SaysNothingWhereThereIsNoLimit) {
    const Groups groups;
    EXPECT_EQ(groups.memory().read(), std::nullopt);
    groups.write("self", "4:memory:/\n0::/app\nnonsense");
    groups.write("app/memory.max", "max");
    groups.write("app/memory.current", "73400320");
    groups.write("memory/memory.limit_in_bytes", "9223372036854771712");
    EXPECT_EQ(groups.memory().read(), std::nullopt);
}

TEST(CgroupMemory, IsReadAlsoWithoutADescriptor) {
    const Groups groups;
    groups.write("self", "0::/app");
    groups.write("app/memory.max", "104857600");
    groups.write("app/memory.current", "10485760");
    groups.write("app/memory.stat", "inactive_file 0");
    const CgroupMemory memory = groups.memory();
    // Read before too: a sanitizer looks at the type of an object by way of a descriptor, once.
    EXPECT_EQ(memory.read(), (MemoryUse{.used = 10 * kMiB, .limit = 100 * kMiB}));
    std::ofstream used(groups.path("app/memory.current"));
    used << 94 * kMiB << std::flush;
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto use = memory.read();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(use, (MemoryUse{.used = 94 * kMiB, .limit = 100 * kMiB}));
}

TEST(CgroupMemory, NoticesALimitThatComesLater) {
    const Groups groups;
    groups.write("self", "0::/app");
    const CgroupMemory memory = groups.memory();
    EXPECT_EQ(memory.read(), std::nullopt);
    groups.write("app/memory.max", "104857600");
    groups.write("app/memory.current", "10485760");
    EXPECT_EQ(memory.read(), (MemoryUse{.used = 10 * kMiB, .limit = 100 * kMiB}));
}

}  // namespace
}  // namespace sluice::proxy
