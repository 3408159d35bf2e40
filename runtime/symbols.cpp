#include "runtime/symbols.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::runtime {

namespace {

// Characters of a name that are shown; templates make it long. A line has room for both.
constexpr int kNameMax = 160;
constexpr int kFileMax = 40;

std::span<const char> map_own_file() {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    struct stat about{};
    void* memory = MAP_FAILED;
    if (::fstat(file, &about) == 0 && about.st_size > 0)
        memory = ::mmap(nullptr, static_cast<std::size_t>(about.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    ::close(file);
    if (memory == MAP_FAILED) return {};
    return {static_cast<const char*>(memory), static_cast<std::size_t>(about.st_size)};
}

const char* base_name(const char* path) {
    const char* const slash = std::strrchr(path, '/');
    return slash != nullptr ? slash + 1 : path;
}

void ask_loader(Symbol& symbol) {
    Dl_info info{};
    link_map* map = nullptr;
    if (::dladdr1(reinterpret_cast<void*>(symbol.address), &info, reinterpret_cast<void**>(&map),
                  RTLD_DL_LINKMAP) == 0)
        return;
    if (info.dli_fname != nullptr) symbol.file = base_name(info.dli_fname);
    symbol.file_offset = symbol.address - map->l_addr;
    if (info.dli_sname == nullptr) return;
    symbol.function = info.dli_sname;
    symbol.offset = symbol.address - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
}

// The loader tells of the program itself first.
std::uintptr_t own_bias() {
    std::uintptr_t bias = 0;
    const auto take = [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;
    };
    ::dl_iterate_phdr(take, &bias);
    return bias;
}

}  // namespace

Symbols::Symbols() : file_(map_own_file()), bias_(own_bias()) {
    find_tables();
}

Symbols::~Symbols() {
    if (!file_.empty()) ::munmap(const_cast<char*>(file_.data()), file_.size());
}

template <class T>
std::span<const T> Symbols::part(std::size_t offset, std::size_t bytes) const {
    if (offset > file_.size() || bytes > file_.size() - offset || offset % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(file_.data() + offset), bytes / sizeof(T)};
}

void Symbols::find_tables() {
    const auto head = part<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0) return;
    const auto sections = part<ElfW(Shdr)>(head[0].e_shoff, head[0].e_shnum * sizeof(ElfW(Shdr)));
    for (const ElfW(Shdr) & section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
        const ElfW(Shdr)& names = sections[section.sh_link];
        table_ = part<ElfW(Sym)>(section.sh_offset, section.sh_size);
        names_ = part<char>(names.sh_offset, names.sh_size);
    }
    if (names_.empty() || names_.back() != '\0') table_ = {};
}

void Symbols::find(std::span<Symbol> sorted) const {
    for (Symbol& symbol : sorted) ask_loader(symbol);
    for (const ElfW(Sym) & entry : table_) {
        if (ELF64_ST_TYPE(entry.st_info) != STT_FUNC || entry.st_name >= names_.size()) continue;
        const std::uintptr_t begin = bias_ + entry.st_value;
        auto at = std::ranges::lower_bound(sorted, begin, {}, &Symbol::address);
        for (; at != sorted.end() && at->address - begin < entry.st_size; ++at) {
            at->function = names_.data() + entry.st_name;
            at->offset = at->address - begin;
        }
    }
}

FrameLine::FrameLine(const Symbol& symbol, const char* name) {
    name != nullptr ? add("    %.*s+0x%zx", kNameMax, name, symbol.offset) : add("    0x%zx", symbol.address);
    if (symbol.file != nullptr) add(" (%.*s+0x%zx)", kFileMax, symbol.file, symbol.file_offset);
    add("%c", '\n');
}

template <class... Parts>
void FrameLine::add(const char* format, Parts... parts) {
    const int length = std::snprintf(text_.data() + size_, text_.size() - size_, format, parts...);
    size_ = std::min(size_ + static_cast<std::size_t>(std::max(length, 0)), text_.size() - 1);
}

}  // namespace sluice::runtime
