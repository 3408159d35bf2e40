// How App brings another configuration into force. All or nothing: what could fail is done before anything is
// changed.

#include <chrono>
#include <new>
#include <utility>

#include "runtime/blocking.h"
#include "runtime/until_memory.h"
#include "service/app.h"
#include "service/commands/judges.h"
#include "service/descriptors.h"
#include "service/open_admin.h"
#include "service/part_settings.h"

namespace sluice {

namespace {

std::vector<std::string> to_lines(const config::Errors& errors) {
    std::vector<std::string> lines;
    for (const config::Error& error : errors) lines.push_back(error.to_string());
    return lines;
}

/// Whatever ends a reload: what was opened for it and did not come into force is closed.
struct Rollback {
    Front& front;
    CheckListener& check;
    ~Rollback() {
        front.rollback();
        check.rollback();
    }
};

}  // namespace

/// Not beyond the moment in which a drain waits for us: then it no longer matters.
void App::in_the_end(auto step) {
    runtime::until_memory(step, [this] { return !ready_.load(); });
}

std::expected<App::Kept, App::Problems> App::reload() {
    auto loaded = runtime::blocking([this] { return config::load(path_, environment_, commands::judges()); });
    if (!loaded) return std::unexpected(to_lines(loaded.error()));
    // Not while the files are read, which may take long: a drain waits for this.
    const std::scoped_lock hold(applying_);
    if (context_.draining.load())
        return std::unexpected(Problems{"the service is draining; nothing is reloaded"});
    const Kept kept = keep_what_stays(snapshots_.current()->config, *loaded);
    for (const std::string& setting : kept)
        telemetry_.log.warn("a reload does not change this; restart to do so", {{"setting", setting}});
    // Before they are read: what changes from then on is noticed.
    if (watch_) watch_->follow(files_of(path_, *loaded));
    const auto applied = apply(std::move(*loaded));
    if (applied) return kept;
    if (watch_) watch_->follow(files_of(path_, snapshots_.current()->config));
    return std::unexpected(applied.error());
}

std::expected<void, App::Problems> App::apply(config::Config loaded) {
    const Rollback rollback{front_, check_};
    if (const auto opened = front_.prepare(loaded.listen); !opened)
        return std::unexpected(Problems{opened.error()});
    if (const auto opened = check_.prepare(loaded); !opened)
        return std::unexpected(Problems{"check: " + opened.error()});
    auto next = loader_.load(std::move(loaded));
    if (!next) return std::unexpected(Problems{next.error()});
    const config::Config& config = (*next)->config;
    snapshots_.replace(*next);
    loader_.carry_over();
    // There is no way back any more: what memory is short for is done when it is there again.
    in_the_end([&] { upkeep_.follow((*next)->upstreams); });
    in_the_end([&] { front_.commit(); });
    in_the_end([&] { check_.commit(); });
    in_the_end([&] {
        loader_.clients().set_max(config.clients.max);
        janitor_.configure(janitor_settings(config.clients));
        telemetry_.log.configure(log_options(config.log).level, log_options(config.log).format);
        telemetry_.access.configure(access_options(config.log).which, access_options(config.log).format);
        if (admin_) admin_->set_token(config.admin->token);
    });
    telemetry_.log.info("reloaded", {{"config", path_}});
    in_the_end([&] { warn_of_few_descriptors(config, telemetry_.log); });
    in_the_end([&] { warn_of_open_admin(config, telemetry_.log); });
    return {};
}

std::expected<App::Kept, App::Problems> App::reload_and_log(std::string_view why) {
    const std::scoped_lock one_at_a_time(reloading_);
    std::expected<Kept, Problems> reloaded = std::unexpected(Problems());
    try {
        reloaded = reload();
    } catch (const std::bad_alloc&) {  // it may be the file that takes so much: not again by ourselves
    }
    if (reloaded) {
        reloads_.note(true, runtime::now(), std::chrono::system_clock::now());
        return reloaded;
    }
    if (context_.draining.load()) {
        telemetry_.log.info("not reloaded: the service is draining", {{"because", why}});
        return reloaded;
    }
    reloads_.note(false, runtime::now(), std::chrono::system_clock::now());
    if (reloaded.error().empty()) reloaded.error().emplace_back("out of memory");  // or not even that
    for (const std::string& problem : reloaded.error())
        telemetry_.log.error("not reloaded, nothing has changed", {{"because", why}, {"problem", problem}});
    return reloaded;
}

}  // namespace sluice
