#include "runtime/shared_port.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace sluice::runtime {

namespace {

// As /proc/net/tcp and tcp6 write an address: words of memory in hex.
std::string proc_address(const Endpoint& local) {
    const auto* const address = local.data();
    char text[48];
    if (address->sa_family == AF_INET) {
        const auto& v4 = *reinterpret_cast<const sockaddr_in*>(address);
        std::snprintf(text, sizeof text, "%08X:%04X", v4.sin_addr.s_addr, ntohs(v4.sin_port));
    } else {
        const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address);
        std::uint32_t words[4];
        std::memcpy(words, &v6.sin6_addr, sizeof words);
        std::snprintf(text, sizeof text, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
                      ntohs(v6.sin6_port));
    }
    return text;
}

std::uint64_t inode_of(int descriptor) {
    struct stat status{};
    return ::fstat(descriptor, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

std::vector<std::uint64_t> sockets_listening_at(const Endpoint& local) {
    std::vector<std::uint64_t> found;
    const int family = local.data()->sa_family;
    if (family != AF_INET && family != AF_INET6) return found;
    const std::string wanted = proc_address(local);
    std::ifstream file(family == AF_INET ? "/proc/self/net/tcp" : "/proc/self/net/tcp6");
    std::string line;
    std::getline(file, line);  // the names of the columns
    while (std::getline(file, line)) {
        std::istringstream row(line);
        std::string slot, address, peer, state, queues, timer, retransmits, uid, timeout;
        std::uint64_t inode = 0;
        row >> slot >> address >> peer >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
        if (state != "0A") break;  // LISTEN
        if (address == wanted && inode != 0) found.push_back(inode);
    }
    return found;
}

// The kernel keeps the sockets of a group in the order in which they began to listen; with two of them, the
// older is the first. The program says which of them a connection goes to, and where it names one that is
// gone, the hash decides as before.
bool steer_to_other(int descriptor, const Endpoint& local, const std::vector<std::uint64_t>& before) {
    auto all = sockets_listening_at(local);
    const std::uint64_t own = inode_of(descriptor);
    if (all.size() != 2 || std::ranges::find(all, own) == all.end()) return false;
    const std::uint64_t other = all.front() == own ? all.back() : all.front();
    const std::uint32_t place = std::ranges::find(before, other) != before.end() ? 0 : 1;
    sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, place}};
    const sock_fprog program{1, code};
    return ::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

// A socket's filter sees the segment from the TCP header on; its flags are the fourteenth byte.
void ignore_newcomers(int descriptor) {
    constexpr std::uint32_t kFlags = 13, kSyn = 0x02, kAll = 0xffffffff;
    sock_filter code[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, kFlags},
                          {BPF_JMP | BPF_JSET | BPF_K, 0, 1, kSyn},
                          {BPF_RET | BPF_K, 0, 0, 0},
                          {BPF_RET | BPF_K, 0, 0, kAll}};
    const sock_fprog program{std::size(code), code};
    ::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

}  // namespace sluice::runtime
