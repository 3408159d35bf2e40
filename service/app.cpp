#include "service/app.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <utility>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/until_memory.h"
#include "service/admin/api.h"
#include "service/admin_sources.h"
#include "service/ban_expiry.h"
#include "service/descriptors.h"
#include "service/drain.h"
#include "service/open_admin.h"
#include "service/part_settings.h"
#include "service/process_end.h"
#include "service/task_list.h"

namespace sluice {

using namespace std::chrono_literals;

namespace {

constexpr runtime::Duration kSweepPools = 1s;
constexpr runtime::Duration kEnd = 5s;     // from the end of a drain to that of the process
constexpr runtime::Duration kToTell = 1s;  // for the list of tasks, to whoever reads it

// What cannot be served from the start on is told like a mistake in the file.
std::shared_ptr<const proxy::Snapshot> first_of(
    std::expected<std::shared_ptr<const proxy::Snapshot>, std::string> loaded) {
    if (!loaded) throw std::runtime_error(loaded.error());
    return std::move(*loaded);
}

}  // namespace

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
      sources_(admin_sources({scheduler_, context_, janitor_, guard_, reloads_, started_, ready_},
                             [this] { return reload_and_log("POST /reload"); })),
      check_(sources_.check, telemetry_.log) {}

void App::run() {
    if (const auto problem = open()) throw std::runtime_error(*problem);
    start_background();
    front_.commit();
    check_.commit();
    ready_.store(true, std::memory_order_release);
    const std::string admin_at =
        admin_ ? bound_text(snapshots_.current()->config.admin->address, admin_->local()) : "none";
    telemetry_.log.info("serving", {{"version", sources_.version},
                                    {"workers", scheduler_.workers()},
                                    {"config", path_},
                                    {"listen", front_.addresses()},
                                    {"check", check_.address().value_or("none")},
                                    {"admin", admin_at}});
    warn_of_few_descriptors(snapshots_.current()->config, telemetry_.log);
    warn_of_open_admin(snapshots_.current()->config, telemetry_.log);
    handle_signals();
    draining_.wait();
    stop_background();
    telemetry_.log.info("stopped");
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
    runtime::go([counted = runtime::Counted(background_), body] { runtime::until_memory(body); });
}

void App::start_background() {
    background([this] { telemetry_.access.run(); });
    background([this] { janitor_.run(); });
    upkeep_.follow(snapshots_.current()->upstreams);
    background([this] { guard_.run(); });
    background([this] {
        while (!stop_sweeping_.try_acquire_until(runtime::now() + kSweepPools)) {
            for (const auto& upstream : snapshots_.current()->upstreams) upstream->sweep(runtime::now());
            expire_bans(context_);
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

// Written on a blocking thread and waited for kToTell at most, since the reader of standard error may be
// stuck. While one list is being written, no second one begins.
void App::tell_tasks() {
    if (!telling_.expired()) return;
    auto telling = std::make_shared<char>();
    telling_ = telling;
    runtime::blocking_until(runtime::now() + kToTell,
                            [&scheduler = scheduler_, telling = std::move(telling)] {
                                std::fputs((list_tasks(scheduler) + '\n').c_str(), stderr);
                            });
}

// Returns when a drain has ended; a second request to end does not wait for that.
void App::handle_signals() {
    bool draining = false;
    while (const int signal = signals_.wait()) {
        if (signal == SIGHUP) {
            reload_asked_.release();
        } else if (signal == SIGQUIT) {
            try {
                tell_tasks();
            } catch (const std::bad_alloc&) {  // nothing to tell them with
            }
        } else if (draining) {
            std::_Exit(kFine);
        } else {
            draining = true;
            runtime::until_memory([this] {
                runtime::go([counted = runtime::Counted(draining_), this] {
                    runtime::until_memory([this] { drain(); });
                    end_within(kEnd, kFine);  // whatever cannot be ended
                    signals_.cancel();
                });
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
        front_.close(check_.hand_over());
        check_.finish();
    }
    if (end_connections(context_, check_, began, snapshot->config.timeouts.drain)) return;
    telemetry_.access.close();
    std::_Exit(kFine);
}

}  // namespace sluice
