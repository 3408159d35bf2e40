#include "service/admin/process.h"

#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

// A sanitizer's, whose allocator is not the library's.
extern "C" [[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes();

namespace sluice::admin {
namespace {

// The fields of /proc/self/stat from the third (state) on, so that index i is field i + 3 of proc(5). The
// second, the command, is in parentheses and may hold anything.
std::vector<std::string> stat_fields() {
    std::ifstream file("/proc/self/stat");
    std::string line;
    std::getline(file, line);
    std::vector<std::string> fields;
    std::size_t at = line.rfind(')');
    while (at != line.npos && at + 1 < line.size()) {
        const std::size_t begin = line.find_first_not_of(' ', at + 1);
        if (begin == line.npos) break;
        at = line.find(' ', begin);
        fields.push_back(line.substr(begin, at == line.npos ? at : at - begin));
    }
    return fields;
}

double boot_time() {
    std::ifstream file("/proc/stat");
    for (std::string word; file >> word;) {
        if (double seconds = 0; word == "btime" && file >> seconds) return seconds;
    }
    return 0;
}

std::uint64_t count_descriptors() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
    if (!folder) return 0;
    std::uint64_t entries = 0;
    while (::readdir(folder.get())) ++entries;
    return entries > 3 ? entries - 3 : 0;  // ".", ".." and the one that reads them
}

std::uint64_t heap_bytes() {
    if (&__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 heap = ::mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

}  // namespace

ProcessFigures read_process_figures() {
    ProcessFigures figures;
    const auto fields = stat_fields();
    if (fields.size() > 21) {
        const auto tick = static_cast<double>(::sysconf(_SC_CLK_TCK));
        const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        figures.cpu_seconds = (std::stod(fields[11]) + std::stod(fields[12])) / tick;  // utime, stime
        figures.threads = std::stoull(fields[17]);
        figures.start_time_seconds = boot_time() + std::stod(fields[19]) / tick;
        figures.virtual_bytes = std::stoull(fields[20]);
        figures.resident_bytes = std::stoull(fields[21]) * page;
    }
    figures.heap_bytes = heap_bytes();
    figures.open_fds = count_descriptors();
    if (rlimit limit{}; ::getrlimit(RLIMIT_NOFILE, &limit) == 0) figures.max_fds = limit.rlim_cur;
    return figures;
}

}  // namespace sluice::admin
