#include "service/serve.h"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>

#include "runtime/scheduler.h"
#include "runtime/signals.h"
#include "service/app.h"
#include "service/commands/judges.h"
#include "service/descriptors.h"
#include "service/process_end.h"

namespace sluice {

namespace {

// In one write, so that what others have to say comes before or after.
void print_line(const std::string& line) {
    std::fputs((line + '\n').c_str(), stderr);
}

}  // namespace

int serve(const std::string& config_path) {
    config::Environment environment = config::process_environment();
    auto config = config::load(config_path, environment, commands::judges());
    if (!config) {
        for (const config::Error& error : config.error()) print_line(error.to_string());
        return kFailed;
    }
    ::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    runtime::SignalSet signals(kSignals);
    runtime::Scheduler scheduler(
        {.workers = config->runtime.workers, .stack = static_cast<std::size_t>(config->runtime.stack)});
    int code = kFailed;
    try {
        scheduler.run([&] {
            try {
                App app(scheduler, signals, config_path, std::move(environment), std::move(*config));
                app.run();
                code = kFine;
            } catch (const std::exception& error) {
                print_line(std::string("sluice: ") + error.what());
            }
            await_last_tasks(scheduler, code);
        });
    } catch (const std::exception& error) {  // there are no threads to be had
        print_line(std::string("sluice: cannot start: ") + error.what());
    }
    end_soon(code);
    return code;
}

}  // namespace sluice
