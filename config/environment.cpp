#include "config/environment.h"

#include <string_view>

#include <unistd.h>

namespace sluice::config {

Environment process_environment() {
    Environment variables;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        const auto equals = text.find('=');
        if (equals != std::string_view::npos)
            variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return variables;
}

}  // namespace sluice::config
