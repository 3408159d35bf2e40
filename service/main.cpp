// sluice: arguments → configuration → App → exit code.

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/quote.h"
#include "config/suggest.h"
#include "service/commands/commands.h"
#include "service/serve.h"

namespace {

constexpr int kUsage = 2;

std::string configuration_path() {
    const char* named = std::getenv("SLUICE_CONFIG");
    return named && *named ? named : "/etc/sluice/sluice.json";
}

std::vector<std::string_view> commands_of(CLI::App& cli) {
    std::vector<std::string_view> names;
    for (const CLI::App* each : cli.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(each->get_name());
    return names;
}

// Of the command line's first word; empty: it is a command, or none was named. CLI11 says no more than that a
// command is required.
std::string no_such_command(CLI::App& cli, std::string_view word) {
    const auto names = commands_of(cli);
    if (word.empty() || word.starts_with('-') || std::ranges::find(names, word) != names.end()) return {};
    return "sluice: there is no command " + sluice::config::quote(word) +
           sluice::config::did_you_mean(word, names) + "\nRun with --help for more information.\n";
}

}  // namespace

int main(int argc, char** argv) {
    using namespace sluice;

    CLI::App cli("Sluice: a rate-limiting reverse proxy for one service.", "sluice");
    cli.require_subcommand(1);
    cli.set_version_flag("--version", commands::version_text, "as the command version");
    std::function<int()> command;

    std::string path = configuration_path();
    commands::AdminOptions admin;

    auto* run = cli.add_subcommand("run", "serve");
    run->add_option("-c,--config", path,
                    "configuration file (default: $SLUICE_CONFIG, else /etc/sluice/sluice.json)");
    run->callback([&] { command = [&] { return serve(path); }; });

    auto* check = cli.add_subcommand("check", "validate a configuration file: every error at once");
    check->add_option("-c,--config", path, "configuration file");
    check->callback([&] { command = [&] { return commands::check(path); }; });

    cli.add_subcommand("schema", "print the JSON Schema of the configuration")->callback([&] {
        command = commands::schema;
    });
    cli.add_subcommand("version", "print version, commit, compiler and libraries")->callback([&] {
        command = commands::version;
    });

    auto* stats = cli.add_subcommand("stats", "show what a running Sluice is doing");
    stats->add_option("-a,--admin", admin.address, "its admin listener")->capture_default_str();
    stats->add_option("--token", admin.token, "its admin token (default: $SLUICE_TOKEN)");
    stats->add_flag("--watch", admin.watch, "refresh in place, every second");
    stats->callback([&] { command = [&] { return commands::stats(admin); }; });

    auto* health = cli.add_subcommand("healthcheck", "exit 0 when a running Sluice is ready, else 1");
    health->add_option("-a,--admin", admin.address, "its admin listener")->capture_default_str();
    health->callback([&] { command = [&] { return commands::healthcheck(admin); }; });

    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const std::string unknown = no_such_command(cli, argc > 1 ? argv[1] : "");
        if (unknown.empty()) return cli.exit(error) == 0 ? EXIT_SUCCESS : kUsage;
        std::cerr << unknown;
        return kUsage;
    }
    return command();
}
