#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <link.h>

namespace sluice::runtime {

// What is known of an address of code; nullptr where nothing is.
struct Symbol {
    std::uintptr_t address = 0;
    const char* function = nullptr;  // as the linker writes it
    std::size_t offset = 0;          // in the function
    const char* file = nullptr;      // name, without its folders, of the program or library
    std::size_t file_offset = 0;     // as `addr2line -e FILE` takes it
};

// Symbols: the names of functions, while it lives. Of the program itself by the symbol table in its file,
// unless that was stripped; dladdr() sees only what is exported, and knows those of libraries. Nothing here
// allocates or locks but the loader, in dladdr(), so that a handler of signals can tell where it was.
class Symbols {
  public:
    Symbols();
    ~Symbols();
    Symbols(const Symbols&) = delete;
    Symbols& operator=(const Symbols&) = delete;

    // find() fills in what is known of each address. REQUIRES: sorted by address. One pass over the table
    // (7,000 functions in the proxy), however many there are.
    void find(std::span<Symbol> sorted) const;

  private:
    // The part of the file that is an array of T, or none if that is not in it.
    template <class T>
    std::span<const T> part(std::size_t offset, std::size_t bytes) const;
    void find_tables();

    std::span<const char> file_;
    std::span<const ElfW(Sym)> table_;
    std::span<const char> names_;
    std::uintptr_t bias_ = 0;  // between addresses in the file and in memory
};

// A line of text for a frame: NAME+0xOFFSET (FILE+0xOFFSET). A long name is cut. `name`: of the function, as
// it is to be shown.
class FrameLine {
  public:
    FrameLine(const Symbol& symbol, const char* name);
    std::span<const char> text() const { return {text_.data(), size_}; }  // with its end of line

  private:
    template <class... Parts>
    void add(const char* format, Parts... parts);

    std::array<char, 256> text_;
    std::size_t size_ = 0;
};

}  // namespace sluice::runtime
