#include "service/http/path.h"

#include <algorithm>
#include <charconv>

namespace sluice::http {

namespace {

bool is_normal(std::string_view path) {
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '%') return false;
        if (path[i] == '/' && i + 1 < path.size() && (path[i + 1] == '/' || path[i + 1] == '.')) return false;
    }
    return true;
}

std::string unescaped(std::string_view path) {
    std::string text;
    text.reserve(path.size());
    Unescaped bytes(path);
    for (int byte = bytes(); byte >= 0; byte = bytes()) text.push_back(static_cast<char>(byte));
    return text;
}

// In place: what is written is never longer than what was read. A path that ends in a segment of dots ends in
// its slash, as it does in §5.2.4. Above the root there is the root.
void tidy_segments(std::string& path) {
    if (!path.starts_with('/')) return;
    std::size_t size = 1;  // of what stays, which ends in a slash
    for (std::size_t at = 1; at < path.size();) {
        const std::size_t slash = std::min(path.find('/', at), path.size());
        const std::string_view segment = std::string_view(path).substr(at, slash - at);
        const bool last = slash == path.size();
        if (segment == "..") {
            if (size > 1) size = path.rfind('/', size - 2) + 1;
        } else if (!segment.empty() && segment != ".") {
            const std::size_t taken = segment.size() + (last ? 0 : 1);
            path.replace(size, taken, path, at, taken);
            size += taken;
        }
        at = slash + 1;
    }
    path.resize(size);
}

bool begins_with_segments(std::string_view path, std::string_view prefix) {
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// How many bytes of `text` spell `prefix`; npos if it does not begin with it.
std::size_t size_spelling(std::string_view text, std::string_view prefix) {
    Unescaped bytes(text);
    for (const char c : prefix)
        if (bytes() != static_cast<unsigned char>(c)) return std::string_view::npos;
    return text.size() - bytes.rest().size();
}

}  // namespace

int Unescaped::operator()() {
    if (rest_.empty()) return -1;
    char c = rest_.front();
    std::size_t taken = 1;
    if (c == '%' && rest_.size() >= 3) {
        unsigned byte = 0;
        const auto [end, error] = std::from_chars(rest_.data() + 1, rest_.data() + 3, byte, 16);
        if (error == std::errc() && end == rest_.data() + 3) {
            c = static_cast<char>(byte);
            taken = 3;
        }
    } else if (c == '+' && form_) {
        c = ' ';
    }
    rest_.remove_prefix(taken);
    return static_cast<unsigned char>(c);
}

NormalPath::NormalPath(std::string_view path) : text_(path) {
    if (is_normal(path)) return;
    made_ = unescaped(path);
    tidy_segments(made_);
    text_ = made_;
}

std::optional<std::string_view> without_prefix(std::string_view origin, std::string_view prefix) {
    if (prefix.empty()) return origin;
    const std::string_view path = origin.substr(0, origin.find('?'));
    const NormalPath whole(path), first(prefix);
    if (!begins_with_segments(whole.text(), first.text())) return origin;
    const std::size_t size = size_spelling(path, first.text());
    if (size == std::string_view::npos) return std::nullopt;
    const NormalPath rest(path.substr(size));
    if (size < path.size() && path[size] != '/') return std::nullopt;  // an escaped one
    if (rest.text() != whole.text().substr(first.text().size())) return std::nullopt;
    return origin.substr(size);
}

}  // namespace sluice::http
