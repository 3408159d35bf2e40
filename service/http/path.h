#pragma once

// Paths as rules see them. There are many spellings of one path, and upstreams take them for the same: a
// limit on /login that is not for /%6Cogin, //login and /./login would be none. What the upstream is sent
// stays as it came.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

/// Undoes the escapes of a text, a byte at a time. What is no escape stands for itself.
class Unescaped {
  public:
    /// `form`: of application/x-www-form-urlencoded, in which `+` is a space.
    explicit Unescaped(std::string_view text, bool form = false) : rest_(text), form_(form) {}

    /// The next byte, or -1 at the end.
    int operator()();

    std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
    bool form_;
};

/// A path with its escapes undone, once; then without `.` and `..` segments (RFC 3986 §5.2.4) and without
/// empty ones. It allocates only for a path that is not in this form already.
class NormalPath {
  public:
    explicit NormalPath(std::string_view path);
    NormalPath(const NormalPath&) = delete;

    std::string_view text() const { return text_; }

  private:
    std::string made_;
    std::string_view text_;
};

/// Removes `prefix` from a target's path and query: whole segments, in any spelling (/api is no prefix of
/// /apiary); what is left may be empty. Returns `origin` unchanged if its path in normal form does not begin
/// with it; nothing if the remainder, in normal form, would be another path than what follows the prefix
/// (/x/../api/y, /api/../api/y, //api).
std::optional<std::string_view> without_prefix(std::string_view origin, std::string_view prefix);

}  // namespace sluice::http
