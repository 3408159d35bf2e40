// Wherever memory runs out while an answer is made, the call fails, and the process lives on.

#include <string>

#include <gtest/gtest.h>

#include "service/admin/api.h"
#include "service/admin/stats.h"
#include "tests/failing_new.h"
#include "tests/service/admin/example_stats.h"

namespace sluice::admin {
namespace {

using namespace std::chrono_literals;

const std::string kLong(100, 'x');  // no short string: it takes memory

int failures_of(auto&& work) {
    return test::failures_of([&] { (void)work(); });
}

int failures_of_calling(const Sources& sources, std::string_view method, std::string path,
                        std::string body = "") {
    const Router router(api(sources));
    Request request;
    request.method = method;
    request.path = std::move(path);
    request.body = std::move(body);
    const Router::Match match = router.match(request);
    return failures_of([&] { return match.route->handle(request); });
}

TEST(OutOfMemory, LeavesWhoeverAsksForFiguresWithAnException) {
    const Stats stats = example_stats();
    EXPECT_GT(failures_of([&] { return to_json(stats); }), 3);
    EXPECT_GT(failures_of([&] { return to_prometheus(stats); }), 3);
}

TEST(OutOfMemory, LeavesWhoeverAsksForAListWithAnException) {
    const ClientList clients{{{.key = kLong, .limit = kLong, .banned_for = 15min}, {.key = kLong}}, 7};
    EXPECT_GT(failures_of([&] { return to_json(clients, {}); }), 1);
    const BanList bans{{{.key = kLong, .limit = kLong, .left = 5s}, {.key = kLong}}, 7};
    EXPECT_GT(failures_of([&] { return to_json(bans, {}); }), 1);
}

TEST(OutOfMemory, LeavesWhoeverCallsWithAnException) {
    Sources sources;
    sources.reload = [] { return Reloaded(std::unexpect, std::vector{kLong, kLong}); };
    EXPECT_GT(failures_of_calling(sources, "POST", "/reload"), 3);
    sources.reload = [] { return Reloaded(std::vector{kLong, kLong}); };
    EXPECT_GT(failures_of_calling(sources, "POST", "/reload"), 3);
    sources.explain = [](const Question&) {
        return Explanation{.client = kLong, .route = 1, .upstream = kLong, .limits = {{.name = kLong}, {}}};
    };
    EXPECT_GT(failures_of_calling(sources, "GET", "/explain"), 3);
    sources.ban = [](std::string_view, std::string_view) { return BanList{}; };
    for (const char* body : {R"({"for": "10m"})", R"({"for": [[1, {"a": 2}], "b"]})", R"([1, [2, 3)"})
        EXPECT_GT(failures_of_calling(sources, "PUT", "/bans/192.0.2.1", body), 3) << body;
}

}  // namespace
}  // namespace sluice::admin
