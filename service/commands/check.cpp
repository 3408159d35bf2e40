#include <cstdio>

#include "config/environment.h"
#include "config/load.h"
#include "config/schema.h"
#include "service/commands/commands.h"
#include "service/commands/judges.h"

namespace sluice::commands {
namespace {

void line(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fputc('\n', to);
}

}  // namespace

int check(const std::string& path) {
    const auto config = config::load(path, config::process_environment(), judges());
    if (config) {
        line(stdout, "ok");
        return kFine;
    }
    for (const config::Error& error : config.error()) line(stderr, error.to_string());
    return kFailed;
}

int schema() {
    const std::string_view text = config::schema();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return kFine;
}

}  // namespace sluice::commands
