#include "service/admin/stats.h"

#include "runtime/blocking.h"

namespace sluice::admin {
namespace {

template <class Source>
auto ask(const Source& source) {
    return source ? source() : decltype(source()){};
}

}  // namespace

Stats collect(const Sources& sources) {
    return {.version = sources.version,
            .commit = sources.commit,
            .ready = ask(sources.ready),
            .uptime = ask(sources.uptime),
            .totals = ask(sources.totals),
            .overload = ask(sources.overload),
            .reloads = ask(sources.reloads),
            .access_log = ask(sources.access_log),
            .limits = ask(sources.limits),
            .clients = ask(sources.client_table),
            .bans = ask(sources.ban_totals),
            .janitor = ask(sources.janitor),
            .upstreams = ask(sources.upstreams),
            .runtime = ask(sources.runtime_counters),
            .process = runtime::blocking(read_process_figures),
            .taken_at = std::chrono::system_clock::now()};
}

}  // namespace sluice::admin
