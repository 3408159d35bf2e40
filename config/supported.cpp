#include "config/supported.h"

#include <algorithm>
#include <array>

#include "config/checks.h"

namespace sluice::config {
namespace {

// A row goes when what it names is built; a table without rows is the whole contract. `refused` is a value as
// it is written: "*" is any, "!x" is any but x, "x*" begins with x.
struct Missing {
    std::string_view pattern;
    std::string_view refused;
    std::string_view what;
};

constexpr std::array kMissing{
    Missing{"/listen/*/tls", "*", "TLS on a listener"},
    Missing{"/listen/*/proxy_protocol", "!false", "the PROXY protocol"},

    Missing{"/upstream", "https://*", "TLS to an upstream"},
    Missing{"/upstreams/*/tls", "*", "TLS to an upstream"},
    Missing{"/upstreams/*/balance", "!round_robin", "any balance but round_robin"},
    Missing{"/upstreams/*/servers/*/weight", "!1", "a weight other than 1"},
    Missing{"/upstreams/*/servers/*/backup", "!false", "a backup server"},
    Missing{"/upstreams/*/health", "*", "active health checking"},
    Missing{"/upstreams/*/eject", "*", "ejecting servers"},

    Missing{"/client/address_from", "!X-Forwarded-For", "any address_from but X-Forwarded-For"},

    Missing{"/limits/*/algorithm", "!token_bucket", "any algorithm but token_bucket"},
    Missing{"/limits/*/action", "!reject", "any action but reject"},
    Missing{"/limits/*/ban", "*", "banning"},

    Missing{"/store/redis", "*", "a store outside the process"},
    Missing{"/check", "*", "a listener for decisions alone"},
};

bool matches(std::string_view refused, std::string_view text) {
    if (refused.starts_with('!')) return !same_ignoring_case(text, refused.substr(1));
    if (refused.ends_with('*')) return text.starts_with(refused.substr(0, refused.size() - 1));
    return text == refused;
}

}  // namespace

std::optional<std::string> not_supported(std::string_view pattern, const Node& node) {
    const auto* const row = std::find_if(kMissing.begin(), kMissing.end(), [&](const Missing& missing) {
        return missing.pattern == pattern && matches(missing.refused, node.text);
    });
    if (row == kMissing.end()) return std::nullopt;
    return std::string(row->what) + " is not supported yet";
}

}  // namespace sluice::config
