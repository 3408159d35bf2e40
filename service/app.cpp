#include "service/app.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"
#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/inspect.h"
#include "runtime/mutex.h"
#include "runtime/scheduler.h"
#include "runtime/signals.h"
#include "runtime/this_task.h"
#include "service/admin/api.h"
#include "service/admin/server.h"
#include "service/admin_sources.h"
#include "service/ban_expiry.h"
#include "service/check_listener.h"
#include "service/commands/judges.h"
#include "service/descriptors.h"
#include "service/drain.h"
#include "service/file_watch.h"
#include "service/front.h"
#include "service/loader.h"
#include "service/part_settings.h"
#include "service/process_end.h"
#include "service/task_list.h"
#include "service/upstream/upkeep.h"

namespace sluice {

using namespace std::chrono_literals;

namespace {

using Problems = std::vector<std::string>;  // one line each
using Kept = std::vector<std::string>;  // settings that a reload does not change, and the file has otherwise

constexpr int kFine = 0;
constexpr int kFailed = 1;
constexpr runtime::Duration kSweepPools = 1s;
constexpr runtime::Duration kEnd = 5s;     // from the end of a drain to that of the process
constexpr runtime::Duration kToTell = 1s;  // for the list of tasks, to whoever reads it

std::string listed(const std::vector<config::Listen>& listen) {
    std::string text;
    for (const config::Listen& each : listen) text += (text.empty() ? "" : ", ") + each.address.text;
    return text;
}

// In one write, so that what others have to say comes before or after.
void print_line(const std::string& line) {
    std::fputs((line + '\n').c_str(), stderr);
}

Problems to_lines(const config::Errors& errors) {
    Problems lines;
    for (const config::Error& error : errors) lines.push_back(error.to_string());
    return lines;
}

// What cannot be served from the start on is told like a mistake in the file.
std::shared_ptr<const proxy::Snapshot> first_of(
    std::expected<std::shared_ptr<const proxy::Snapshot>, std::string> loaded) {
    if (!loaded) throw std::runtime_error(loaded.error());
    return std::move(*loaded);
}

class App {
  public:
    App(runtime::Scheduler& scheduler, runtime::SignalSet& signals, std::string path,
        config::Environment environment, config::Config config);

    /// Serves until it has drained. Parks; called by the scheduler's first task.
    int run();

  private:
    std::optional<std::string> open();
    void start_background();
    template <class Body>
    void background(Body body);
    void stop_background();

    void handle_signals();
    void tell_tasks();
    void drain();

    std::expected<Kept, Problems> reload();
    std::expected<void, Problems> apply(config::Config loaded);
    std::expected<Kept, Problems> reload_and_log(std::string_view why);

    // Fixed.
    runtime::Scheduler& scheduler_;
    runtime::SignalSet& signals_;
    const std::string path_;
    const config::Environment environment_;
    const runtime::Time started_ = runtime::now();

    telemetry::Telemetry telemetry_;
    Loader loader_;
    proxy::Snapshots snapshots_;
    proxy::Registry registry_;
    proxy::Context context_;
    limit::Janitor janitor_;
    upstream::Upkeep upkeep_;
    const proxy::CgroupMemory memory_;
    proxy::OverloadGuard guard_;
    Front front_;

    std::atomic<bool> ready_{false};
    admin::Sources sources_;
    std::optional<admin::Server> admin_;
    CheckListener check_;
    std::optional<FileWatch> watch_;

    runtime::Mutex reloading_;  // a reload
    runtime::Mutex applying_;   // the part of it in which things change
    runtime::Semaphore reload_asked_{0};
    std::atomic<bool> ending_{false};
    runtime::Semaphore stop_sweeping_{0};
    std::weak_ptr<void> telling_;  // alive while the tasks are being told
    runtime::WaitGroup background_;
    runtime::WaitGroup draining_;
};

App::App(runtime::Scheduler& scheduler, runtime::SignalSet& signals, std::string path,
         config::Environment environment, config::Config config)
    : scheduler_(scheduler),
      signals_(signals),
      path_(std::move(path)),
      environment_(std::move(environment)),
      telemetry_(scheduler.workers(), log_options(config.log), access_options(config.log)),
      loader_(config.clients.max, scheduler.workers(), telemetry_.log),
      snapshots_(first_of(loader_.load(std::move(config)))),
      registry_(scheduler.workers()),
      context_{.telemetry = telemetry_,
               .clients = loader_.clients(),
               .snapshots = snapshots_,
               .registry = registry_,
               .one_client = telemetry::PerWorker<policy::OneClient>(scheduler.workers()),
               .refusals = telemetry::PerWorker<proxy::PreparedRefusals>(scheduler.workers())},
      janitor_(loader_.clients(), janitor_settings(snapshots_.current()->config.clients)),
      upkeep_(telemetry_.log),
      guard_(context_.overloaded, telemetry_.log, memory_),
      front_(context_),
      sources_(admin_sources({scheduler_, context_, janitor_, guard_, started_, ready_},
                             [this] { return reload_and_log("POST /reload"); })),
      check_(sources_.check, telemetry_.log) {}

int App::run() {
    if (const auto problem = open()) {
        print_line("sluice: " + *problem);
        return kFailed;
    }
    start_background();
    front_.commit();
    check_.commit();
    ready_.store(true, std::memory_order_release);
    telemetry_.log.info("serving",
                        {{"version", sources_.version},
                         {"workers", scheduler_.workers()},
                         {"config", path_},
                         {"listen", listed(snapshots_.current()->config.listen)},
                         {"admin", admin_ ? snapshots_.current()->config.admin->address.text : "none"}});
    warn_of_few_descriptors(snapshots_.current()->config, telemetry_.log);
    handle_signals();
    draining_.wait();
    stop_background();
    telemetry_.log.info("stopped");
    return kFine;
}

std::optional<std::string> App::open() {
    const auto snapshot = snapshots_.current();
    if (const auto opened = front_.prepare(snapshot->config.listen); !opened) return opened.error();
    if (const auto opened = check_.prepare(snapshot->config); !opened) return "check: " + opened.error();
    if (const auto& admin = snapshot->config.admin) {
        auto socket = open_socket(admin->address);
        if (!socket) return "admin: " + socket.error();
        admin_.emplace(std::move(*socket), admin::api(sources_),
                       admin::Server::Options{.token = admin->token}, telemetry_.log);
    }
    try {
        watch_.emplace(files_of(path_, snapshot->config));
    } catch (const std::exception& error) {
        telemetry_.log.warn("changes of the file are not noticed; SIGHUP reloads it",
                            {{"reason", error.what()}});
    }
    return std::nullopt;
}

template <class Body>
void App::background(Body body) {
    background_.add();
    runtime::go([this, body] {
        struct Done {
            runtime::WaitGroup& group;
            ~Done() { group.done(); }
        } done{background_};  // also when an exception ends it
        body();
    });
}

void App::start_background() {
    background([this] { telemetry_.access.run(); });
    background([this] { janitor_.run(); });
    upkeep_.follow(snapshots_.current()->upstreams);
    background([this] { guard_.run(); });
    background([this] {
        while (!stop_sweeping_.try_acquire_until(runtime::now() + kSweepPools)) {
            try {
                for (const auto& upstream : snapshots_.current()->upstreams) upstream->sweep(runtime::now());
                expire_bans(context_);
            } catch (const std::bad_alloc&) {  // the next time, then
            }
        }
    });
    if (admin_) background([this] { admin_->run(); });
    // Not by the task that hears signals: a reload may wait for servers of names.
    background([this] {
        for (;;) {
            reload_asked_.acquire();
            while (reload_asked_.try_acquire()) {  // asked many times, it is done once
            }
            if (ending_.load()) return;
            reload_and_log("SIGHUP");
        }
    });
    if (watch_) {
        background([this] {
            while (watch_->wait()) reload_and_log("a file has changed");
        });
    }
}

void App::stop_background() {
    janitor_.stop();
    upkeep_.stop();
    guard_.stop();
    stop_sweeping_.release();
    ending_.store(true);
    reload_asked_.release();
    if (watch_) watch_->cancel();
    if (admin_) admin_->close();
    check_.close();
    telemetry_.access.close();
    background_.wait();
}

// Written on a blocking thread and waited for kLeft at most, since the reader of standard error may be stuck.
// While one list is being written, no second one begins.
void App::tell_tasks() {
    if (!telling_.expired()) return;
    auto telling = std::make_shared<char>();
    telling_ = telling;
    runtime::blocking_until(
        runtime::now() + kToTell,
        [&scheduler = scheduler_, telling = std::move(telling)] { print_line(list_tasks(scheduler)); });
}

// Returns when a drain has ended; a second request to end does not wait for that.
void App::handle_signals() {
    bool draining = false;
    while (const int signal = signals_.wait()) {
        if (signal == SIGHUP) {
            reload_asked_.release();
        } else if (signal == SIGQUIT) {
            tell_tasks();
        } else if (draining) {
            std::_Exit(kFine);
        } else {
            draining = true;
            draining_.add();
            runtime::go([this] {
                drain();
                end_within(kEnd, kFine);  // whatever cannot be ended
                signals_.cancel();
                draining_.done();
            });
        }
    }
}

// First the word goes out that we are leaving; then nobody comes any more; then who is there ends.
void App::drain() {
    const auto snapshot = snapshots_.current();
    telemetry_.log.info("draining", {{"connections", registry_.open()}});
    const runtime::Time began = runtime::now();
    ready_.store(false, std::memory_order_release);
    {
        const std::scoped_lock hold(applying_);  // a reload under way might open what is closed here
        context_.draining.store(true);
        front_.close();
        check_.finish();
    }
    if (end_connections(context_, check_, began, snapshot->config.timeouts.drain)) return;
    telemetry_.access.close();
    std::_Exit(kFine);
}

// All or nothing: what could fail is done before anything is changed.
std::expected<Kept, Problems> App::reload() {
    const std::scoped_lock one_at_a_time(reloading_);
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

std::expected<void, Problems> App::apply(config::Config loaded) {
    if (const auto opened = front_.prepare(loaded.listen); !opened)
        return std::unexpected(Problems{opened.error()});
    if (const auto opened = check_.prepare(loaded); !opened) {
        front_.rollback();
        return std::unexpected(Problems{"check: " + opened.error()});
    }
    auto next = loader_.load(std::move(loaded));
    if (!next) {
        front_.rollback();
        check_.rollback();
        return std::unexpected(Problems{next.error()});
    }
    const config::Config& config = (*next)->config;
    snapshots_.replace(*next);
    upkeep_.follow((*next)->upstreams);
    front_.commit();
    check_.commit();
    loader_.clients().set_max(config.clients.max);
    janitor_.configure(janitor_settings(config.clients));
    telemetry_.log.configure(log_options(config.log).level, log_options(config.log).format);
    telemetry_.access.configure(access_options(config.log).which, access_options(config.log).format);
    if (admin_) admin_->set_token(config.admin->token);
    telemetry_.log.info("reloaded", {{"config", path_}});
    warn_of_few_descriptors(config, telemetry_.log);
    return {};
}

std::expected<Kept, Problems> App::reload_and_log(std::string_view why) {
    std::expected<Kept, Problems> reloaded;
    try {
        reloaded = reload();
    } catch (const std::bad_alloc&) {
        reloaded = std::unexpected(Problems{"out of memory"});
    }
    if (reloaded) return reloaded;
    if (context_.draining.load()) {
        telemetry_.log.info("not reloaded: the service is draining", {{"because", why}});
        return reloaded;
    }
    for (const std::string& problem : reloaded.error())
        telemetry_.log.error("not reloaded, nothing has changed", {{"because", why}, {"problem", problem}});
    return reloaded;
}

}  // namespace

int serve(const std::string& config_path) {
    config::Environment environment = config::process_environment();
    auto config = config::load(config_path, environment, commands::judges());
    if (!config) {
        for (const std::string& line : to_lines(config.error())) print_line(line);
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
                code = app.run();
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
