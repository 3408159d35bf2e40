// Any bytes as a configuration: it is one, and reads back from its own text as the same, or every error
// stands somewhere in the text and is told on one line.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/parse.h"
#include "config/to_json.h"

namespace {

using namespace sluice::config;

void require(bool holds) {
    if (!holds) std::abort();
}

const Environment kEnvironment{{"A", "127.0.0.1:1"}, {"N", "7"}, {"E", ""}, {"D", "${A}"}};

void check_errors(const Errors& errors, std::string_view text) {
    require(!errors.empty());
    unsigned line = 1;
    for (const Error& error : errors) {
        require(!error.message.empty() && !error.to_string().contains('\n'));
        require(error.line >= line && error.line <= text.size() + 1 && error.column <= text.size() + 1);
        line = error.line;
    }
}

void hide(Match& match) {
    for (auto& [name, value] : match.headers) value = "***";
}

void check_config(Config config) {
    require(!config.listen.empty() && !config.routes.empty());
    for (const Limit& limit : config.limits)
        require(!limit.name.empty() && limit.burst > 0 && limit.rate.count > 0 && !limit.key.empty());
    // Shown as ***.
    if (config.admin) config.admin->token.clear();
    for (Route& route : config.routes) hide(route.match);
    for (Limit& limit : config.limits) hide(limit.match);
    const auto again = parse(to_json(config), "again", {});
    require(again && *again == config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (auto config = parse(text, "fuzz", kEnvironment)) {
        check_config(*std::move(config));
    } else {
        check_errors(config.error(), text);
    }
    return 0;
}
