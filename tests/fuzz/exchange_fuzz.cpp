// Whole exchanges: what a client sends and what the upstream answers are both any bytes, over TCP inside this
// process (Unix sockets have no reset, by which alone an answer that ends with the connection is seen to be
// cut), in virtual time. However they are cut:
//
// - what goes upstream is well-formed, and is what a strict reader finds in the client's bytes: the same
//   requests in the same order, with the same bodies; of a request that is malformed not a byte goes as a
//   whole one;
// - the client gets one final answer for each request at most, each well-formed unless its connection was
//   cut;
// - an answer of the upstream's that looks complete to the client was complete, and has the same body;
// - afterwards no connection, task or descriptor is left.
//
// What an input is stands in exchange/input.h.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/error.hpp>
#include <netinet/in.h>

#include "config/parse.h"
#include "runtime/go.h"
#include "runtime/inspect.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/loader.h"
#include "service/proxy/connection.h"
#include "tests/fuzz/exchange/ends.h"
#include "tests/fuzz/exchange/input.h"
#include "tests/fuzz/exchange/judge.h"
#include "tests/fuzz/exchange/require.h"

namespace {

using namespace sluice;
using namespace sluice::fuzz;
using namespace std::chrono_literals;

config::Config make_config(std::uint16_t port) {
    const std::string upstream = own_address(port).address().to_string() + ":" + std::to_string(port);
    const std::string text = R"({ "listen": "127.0.0.1:1", "upstream": ")" + upstream +
                             R"(", "max": { "body": "256KiB" }, "log": { "access": "off" } })";
    auto config = config::parse(text, "fuzz", config::Environment{});
    require(config.has_value());
    return *config;
}

void exchange(const Input& input, runtime::Scheduler& scheduler) {
    runtime::this_task::sleep_for(1s);  // time zero means "not yet" to some
    static telemetry::Telemetry telemetry(1, {.level = telemetry::LogLevel::off},
                                          {.which = telemetry::AccessLogged::off});
    static std::uint16_t port = 0;
    auto listener = runtime::TcpListener::bind(own_address(port));
    require(listener.has_value());
    sockaddr_in name{};
    std::memcpy(&name, listener->local().data(), sizeof name);
    port = ntohs(name.sin_port);
    static const config::Config config = make_config(port);
    Upstream upstream(input, std::move(*listener));
    auto [client, accepted] = make_pair(input.reads_late());

    std::string got;
    bool in_order = false;
    {
        Loader loader(1000, 1, telemetry.log);
        proxy::Snapshots snapshots(loader.load(config).value());
        proxy::Registry registry(1);
        proxy::Context context{.telemetry = telemetry,
                               .clients = loader.clients(),
                               .snapshots = snapshots,
                               .registry = registry,
                               .one_client = telemetry::PerWorker<policy::OneClient>(1),
                               .refusals = telemetry::PerWorker<proxy::PreparedRefusals>(1)};
        auto entrances = std::make_shared<const proxy::Entrances>(config.listen, nullptr);
        require(registry.admit(1));
        proxy::Connection::start(context, entrances, std::move(accepted), runtime::Endpoint(), 10s);

        runtime::WaitGroup reading;
        reading.add();
        runtime::go([&] {
            if (input.reads_late()) runtime::this_task::sleep_for(1h);
            in_order = drain(client, got);
            reading.done();
        });
        const auto failure = send(client, input.request, input.step());
        runtime::error_code ignored;
        if (input.half_closes()) client.shutdown_send(ignored);
        reading.wait();
        // The kernel tells of a reset once: to the write, and the read then finds but the end.
        if (failure == boost::asio::error::connection_reset) in_order = false;
        client.reset();  // leaves nothing in TIME_WAIT
        while (registry.open() > 0) runtime::this_task::sleep_for(1s);
        for (const auto& one : snapshots.current()->upstreams) one->sweep(runtime::now() + 24h);
    }
    upstream.stop();
    require(runtime::counters(scheduler).live == 1);

    std::vector<Message> asked;
    read_requests(input.request, asked);
    check_forwarded(upstream.received(), asked);
    check_answers(got, asked, upstream.whole(), !in_order);
}

std::size_t descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 32 * 1024) return 0;
    const Input input = split(data, size);
    static std::size_t rounds = 0;
    static std::size_t open = 0;
    runtime::Scheduler scheduler({.virtual_time = true, .abort_on_exception = true});
    scheduler.run([&] { exchange(input, scheduler); });
    // The first round opens what stays: the log's, and the sanitizer's own.
    if (++rounds == 2) open = descriptors();
    if (rounds > 2) require(descriptors() <= open);
    return 0;
}
