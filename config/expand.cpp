#include "config/expand.h"

#include <algorithm>

#include "config/quote.h"

namespace sluice::config {
namespace {

bool starts_name(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}
bool continues_name(char c) {
    return starts_name(c) || (c >= '0' && c <= '9');
}

bool is_name(std::string_view name) {
    return !name.empty() && starts_name(name[0]) && std::all_of(name.begin(), name.end(), continues_name);
}

// The value of what stands between the braces.
std::expected<std::string, std::string> variable(std::string_view inside, const Environment& environment) {
    const auto colon = inside.find(":-");
    const std::string_view name = inside.substr(0, colon);
    if (!is_name(name)) {
        return std::unexpected(quote("${" + std::string(inside) + "}") +
                               " names no variable (${NAME} or ${NAME:-default}; $${ for a literal ${)");
    }
    // It would end at the inner one's }.
    if (inside.contains("${")) return std::unexpected("a default cannot hold another ${…}");
    const auto found = environment.find(name);
    if (colon != std::string_view::npos) {
        const bool set = found != environment.end() && !found->second.empty();
        return set ? found->second : std::string(inside.substr(colon + 2));
    }
    if (found == environment.end()) {
        return std::unexpected("the environment variable " + std::string(name) + " is not set (${" +
                               std::string(name) + ":-default} gives it a default)");
    }
    return found->second;
}

}  // namespace

std::expected<std::string, std::string> expand(std::string_view text, const Environment& environment) {
    std::string out;
    while (true) {
        const auto at = text.find("${");
        out += text.substr(0, at);
        if (at == std::string_view::npos) return out;
        if (at > 0 && text[at - 1] == '$') {  // the first $ is in `out` already
            out += '{';
            text.remove_prefix(at + 2);
            continue;
        }
        text.remove_prefix(at + 2);
        const auto end = text.find('}');
        if (end == std::string_view::npos)
            return std::unexpected("\"${\" without its \"}\" ($${ for a literal ${)");
        auto value = variable(text.substr(0, end), environment);
        if (!value) return value;
        out += *value;
        text.remove_prefix(end + 1);
    }
}

std::string escape_variables(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.substr(i, 2) == "${") out += '$';
        out += text[i];
    }
    return out;
}

}  // namespace sluice::config
