#pragma once

// How much memory the container may use, and does: the memory controller of cgroup v2 or v1, as the kernel
// tells it in small files. They are kept open: where descriptors run out, memory may well be next.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::proxy {

/// Of the group that is nearest to its limit: ours, or one that it lies in.
struct MemoryUse {
    std::uint64_t used = 0;   // bytes, but for file cache that the kernel would give up first
    std::uint64_t limit = 0;  // bytes, above 0

    double share() const { return static_cast<double>(used) / static_cast<double>(limit); }
    bool operator==(const MemoryUse&) const = default;
};

class CgroupMemory {
  public:
    /// Which groups this process is in is read now. The arguments are for tests.
    explicit CgroupMemory(const std::string& mounted_at = "/sys/fs/cgroup",
                          const std::string& groups_of_process = "/proc/self/cgroup");

    /// None when no group has a limit. Reads some files: 30 µs for each level, now and then a millisecond.
    std::optional<MemoryUse> read() const;

  private:
    /// A file of the kernel's, whose text is another each time that it is read.
    class File {
      public:
        explicit File(std::string path);
        File(File&& other) noexcept;
        ~File();

        /// None: it is not there. One that was not there at first is looked for again.
        std::optional<std::string> text() const;

      private:
        const std::string path_;
        int descriptor_;
    };

    struct Version;
    struct Level {
        const Version* version;
        std::vector<File> limits;  // the lowest counts
        File used;
        File stat;
    };
    void add_levels(const std::string& root, std::string group, const Version& version);
    static std::uint64_t limit_in(const File& file);
    static std::optional<MemoryUse> read(const Level& level);

    std::vector<Level> levels_;
};

}  // namespace sluice::proxy
