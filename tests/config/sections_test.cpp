// Every section but routes and limits.

#include <gtest/gtest.h>

#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

TEST(Listen, IsOneOrSeveral) {
    const auto names = [](std::string_view listen) {
        std::string out;
        for (const Listen& each : good(with("\"listen\": " + std::string(listen))).listen)
            out += each.name + "=" + each.address.text + " ";
        return out;
    };
    EXPECT_EQ(names(R"("127.0.0.1:1")"), "127.0.0.1:1=127.0.0.1:1 ");
    EXPECT_EQ(names(R"({ "address": "127.0.0.1:1", "name": "x" })"), "x=127.0.0.1:1 ");
    EXPECT_EQ(
        names(
            R"([ "127.0.0.1:1", { "address": "[::1]:2" }, { "address": "unix:/x.sock", "name": "local" } ])"),
        "127.0.0.1:1=127.0.0.1:1 [::1]:2=[::1]:2 local=unix:/x.sock ");
    EXPECT_EQ(names(R"([ "127.0.0.1:0", "127.0.0.1:0" ])"),
              "127.0.0.1:0=127.0.0.1:0 127.0.0.1:0=127.0.0.1:0 ");
}

TEST(Listen, Mistakes) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("listen": @[])", "/listen", "no address to listen on (such as \"0.0.0.0:8080\")"},
        {R"("listen": [ "127.0.0.1:1", @7 ])", "/listen/1",
         "must be an address, a string such as \"0.0.0.0:8080\", not a number"},
        {R"("listen": [ @{} ])", "/listen/0", R"("address" is missing (such as "address": "0.0.0.0:8080"))"},
        {R"("listen": [ "127.0.0.1:1", { "address": @"127.0.0.1:1" } ])", "/listen/1/address",
         "\"127.0.0.1:1\" is listened on already"},
        {R"("listen": [ "unix:/a", @"unix:/a" ])", "/listen/1", "\"unix:/a\" is listened on already"},
        {R"("listen": [ { "address": "127.0.0.1:1", "name": "a" }, { "address": "127.0.0.1:2", "name": @"a" } ])",
         "/listen/1/name", "another listener is named \"a\" already"},
        {R"("listen": { "address": "127.0.0.1:1", "name": @"" })", "/listen/name", "a name is not empty"},
        {R"("listen": { "address": "unix:/a", @"reuse_port": true })", "/listen/reuse_port",
         R"("reuse_port" goes with IP:PORT alone: a Unix socket has one process that listens)"},
        {R"("listen": @"127.0.0.1:9900")", "/listen",
         R"("127.0.0.1:9900" is the address of both "listen" and "admin")"},
        {R"("listen": { "address": "127.0.0.1:1", "tls": @{ "key": "k" } })", "/listen/tls",
         R"("certificate" is missing (such as "certificate": "/etc/sluice/tls.crt"))"},
    };
    for (const auto& [text, pointer, message] : rows) expect_error(with(text), pointer, message);
}

// What the kernel refuses to bind beside each other, and only that.
TEST(Listen, AllAddressesOfAPortLeaveNoneOfThemToOthers) {
    const auto clash = [](const std::string& mine, const std::string& other, const std::string& where,
                          const std::string& all, const std::string& every) {
        return "\"" + mine + "\" cannot be listened on beside \"" + other + "\" of " + where + ": \"" + all +
               "\" is every " + every + " (keep one of the two, or take another port)";
    };
    const std::string v4 = "IPv4 address at that port", any = "address at that port, IPv4 too";
    const std::string first = "/listen/0";
    expect_error(with(R"("listen": [ "0.0.0.0:1", @"127.0.0.1:1" ])"), "/listen/1",
                 clash("127.0.0.1:1", "0.0.0.0:1", first, "0.0.0.0:1", v4));
    expect_error(with(R"("listen": [ "127.0.0.1:1", @"0.0.0.0:1" ])"), "/listen/1",
                 clash("0.0.0.0:1", "127.0.0.1:1", first, "0.0.0.0:1", v4));
    expect_error(with(R"("listen": [ "127.0.0.1:1", { "address": @"[::]:1" } ])"), "/listen/1/address",
                 clash("[::]:1", "127.0.0.1:1", first, "[::]:1", any));
    expect_error(with(R"("listen": [ "[::]:1", @"[::1]:1" ])"), "/listen/1",
                 clash("[::1]:1", "[::]:1", first, "[::]:1", any));
    expect_error(with(R"("listen": [ "0.0.0.0:1", @"[::]:1" ])"), "/listen/1",
                 clash("[::]:1", "0.0.0.0:1", first, "[::]:1", any));
    expect_error(with(R"("listen": [ "0.0.0.0:1", @"[::ffff:127.0.0.1]:1" ])"), "/listen/1",
                 clash("[::ffff:127.0.0.1]:1", "0.0.0.0:1", first, "0.0.0.0:1", v4));
    expect_error(with(R"("listen": [ "[::1]:1", @"[0::1]:1" ])"), "/listen/1",
                 "\"[0::1]:1\" is listened on already");
    expect_error(with(R"("listen": [ { "address": "0.0.0.0:1", "reuse_port": true }, @"127.0.0.1:1" ])"),
                 "/listen/1", clash("127.0.0.1:1", "0.0.0.0:1", first, "0.0.0.0:1", v4));
    // Who listens by default, too.
    expect_error(with(R"("listen": [ "127.0.0.1:1", @"0.0.0.0:9900" ])"), "/listen/1",
                 clash("0.0.0.0:9900", "127.0.0.1:9900", R"(the default of "admin")", "0.0.0.0:9900", v4));
    expect_error(with(R"("admin": { "address": @"127.0.0.1:8080" })"), "/admin/address",
                 clash("127.0.0.1:8080", "0.0.0.0:8080", R"(the default of "listen")", "0.0.0.0:8080", v4));
    expect_error(with(R"("listen": "127.0.0.1:1", "admin": { "address": @"[::]:1" })"), "/admin/address",
                 clash("[::]:1", "127.0.0.1:1", "/listen", "[::]:1", any));
    expect_error(with(R"("listen": [ "127.0.0.1:1" ], "check": @"0.0.0.0:1")"), "/check",
                 clash("0.0.0.0:1", "127.0.0.1:1", first, "0.0.0.0:1", v4));
    expect_error(with(R"("check": @"0.0.0.0:9900")"), "/check",
                 clash("0.0.0.0:9900", "127.0.0.1:9900", R"("admin")", "0.0.0.0:9900", v4));

    good(with(R"("listen": [ "127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "0.0.0.0:2", "[::1]:2" ])"));
    good(with(R"("listen": [ "0.0.0.0:0", "127.0.0.1:0", "[::]:0", "unix:/a" ])"));
    good(with(R"("listen": [ { "address": "0.0.0.0:1", "reuse_port": true },
                             { "address": "127.0.0.1:1", "reuse_port": true } ])"));
    good(with(R"("listen": { "address": "0.0.0.0:1", "reuse_port": true }, "check": "127.0.0.1:1")"));
    expect_error(with(R"("listen": [ { "address": "[::1]:1", "reuse_port": true }, "127.0.0.1:1" ],
                         "check": @"0.0.0.0:1")"),
                 "/check", clash("0.0.0.0:1", "127.0.0.1:1", "/listen/1", "0.0.0.0:1", v4));
}

TEST(Upstreams, HaveAllSettingsOfTheContract) {
    const Config config = good(R"({ "upstreams": { "b": { "servers": [ "b:1" ] }, "a": {
        "servers": [ "127.0.0.1:3000", { "address": "app2:3000", "weight": 7, "backup": true }, "unix:/run/app.sock" ],
        "balance": "ip_hash", "connect_timeout": "2s", "response_timeout": "3s", "stall_timeout": "4s", "idle_timeout": "5s", "max_idle": 0,
        "max_connections": 7, "retries": 0,
        "health": { "path": "/up", "interval": "6s", "timeout": "7s", "healthy_after": 8, "unhealthy_after": 9 },
        "eject": { "after": 10, "for": "11s" } } }, "routes": [ { "upstream": "a" } ] })");
    ASSERT_EQ(config.upstreams.size(), 2U);
    const Upstream& upstream = config.upstreams[0];
    EXPECT_EQ(upstream.name, "a") << "in the order of their names";
    ASSERT_EQ(upstream.servers.size(), 3U);
    EXPECT_EQ(upstream.servers[1].address.host, "app2");
    EXPECT_EQ(upstream.servers[2].address.unix_path, "/run/app.sock");
    EXPECT_EQ(upstream.connect_timeout, 2s);
    EXPECT_EQ(upstream.response_timeout, 3s);
    EXPECT_EQ(upstream.stall_timeout, 4s);
    EXPECT_EQ(upstream.idle_timeout, 5s);
    EXPECT_EQ(upstream.max_idle, 0U);
    EXPECT_EQ(upstream.max_connections, 7U);
    EXPECT_EQ(upstream.retries, 0U);
    EXPECT_EQ(upstream.servers[1].weight, 7U);
    EXPECT_TRUE(upstream.servers[1].backup);
    EXPECT_EQ(upstream.balance, Balance::ip_hash);
    EXPECT_EQ(upstream.health, (Health{"/up", 6s, 7s, 8, 9}));
    EXPECT_EQ(upstream.eject, (Eject{10, 11s}));
}

TEST(Upstreams, AHealthCheckMayAskWithAQuery) {
    EXPECT_EQ(good(upstream_with(R"("health": {})")).upstreams[0].health, (Health{"/healthz", 5s, 1s, 2, 3}));
    EXPECT_EQ(good(upstream_with(R"("health": { "path": "/up?deep=1" })")).upstreams[0].health->path,
              "/up?deep=1");
    const std::tuple<const char*, const char*> rows[] = {
        {R"(@"")", R"("" is not a path to ask for (it begins with "/", such as "/healthz"))"},
        {R"(@"healthz")", R"("healthz" is not a path to ask for (it begins with "/", such as "/healthz"))"},
        {R"(@"/a b")", R"("/a b" cannot be sent (no blanks, no "#"; did you mean "/a%20b"?))"},
        {R"(@"/a#b")", R"("/a#b" cannot be sent (no blanks, no "#"; did you mean "/a"?))"},
    };
    for (const auto& [path, message] : rows)
        expect_error(upstream_with(R"("health": { "path": )" + std::string(path) + " }"),
                     "/upstreams/app/health/path", message);
}

TEST(Upstreams, EjectUnlessTheyAreToldNotTo) {
    EXPECT_EQ(good(upstream_with(R"("eject": {})")).upstreams[0].eject, (Eject{5, 10s}));
    EXPECT_EQ(good(upstream_with(R"("eject": { "after": 2 })")).upstreams[0].eject, (Eject{2, 10s}));
    EXPECT_FALSE(good(upstream_with(R"("eject": null)")).upstreams[0].eject);
    expect_error(upstream_with(R"("eject": @false)"), "/upstreams/app/eject",
                 R"(must be an object such as { "after": 5, "for": "10s" }, or null, not true or false)");
}

TEST(Upstreams, AServerIsThereOnce) {
    const auto servers = [](const std::string& list) {
        return "{ \"upstreams\": { \"app\": { \"servers\": [ " + list +
               " ] } }, \"routes\": [ { \"upstream\": \"app\" } ] }";
    };
    const std::string message =
        R"("a:1" is a server of this upstream already ("weight" gives it more of the requests))";
    expect_error(servers(R"("a:1", "b:1", @"a:1")"), "/upstreams/app/servers/2", message);
    expect_error(servers(R"({ "address": "a:1" }, @{ "address": "a:1", "backup": true })"),
                 "/upstreams/app/servers/1", message);
    good(servers(R"("a:1", "a:2", "unix:/a:1")"));
}

TEST(Upstreams, ASocketSpokenToByHttpsNeedsTheLongForm) {
    expect_error(
        R"({ "upstream": @"https://unix:/run/app" })", "/upstream",
        R"("https://unix:/run/app" names no host that a certificate could be for (write "upstreams": )"
        R"({ "app": { "servers": [ "unix:/run/app" ], "tls": { "server_name": "app.example.com" } } }, and a route to it))");
    good(R"({ "upstream": "https://app:443" })");
    good(upstream_with(R"("tls": { "server_name": "app.example.com" })"));
}

TEST(Upstreams, HttpsIsSaidBesideTheServers) {
    expect_error(
        R"({ "upstreams": { "app": { "servers": [ @"https://app:443" ] } }, "routes": [ { "upstream": "app" } ] })",
        "/upstreams/app/servers/0",
        R"("https://app:443" is not an address of a server (write "app:443", and "tls": {} beside "servers" for https))");
}

TEST(Upstreams, Mistakes) {
    expect_error(R"({ "upstreams": { "app": @{} }, "routes": [ { "upstream": "app" } ] })", "/upstreams/app",
                 R"("servers" is missing (such as "servers": [ "127.0.0.1:3000" ]))");
    expect_error(R"({ "upstreams": { "app": { "servers": @[] } }, "routes": [ { "upstream": "app" } ] })",
                 "/upstreams/app/servers", "no server (such as \"127.0.0.1:3000\")");
    expect_error(R"({ "upstreams": { "app": { "servers": @"a:1" } }, "routes": [ { "upstream": "app" } ] })",
                 "/upstreams/app/servers",
                 "must be an array of servers, such as [\"127.0.0.1:3000\"], not a string");
    expect_error(
        R"({ "upstreams": { "app": { "servers": [ { "address": @1 } ] } }, "routes": [ { "upstream": "app" } ] })",
        "/upstreams/app/servers/0/address",
        "must be the address of a server, a string such as \"127.0.0.1:3000\", not a number");
    expect_error(
        R"({ "upstreams": { @"": { "servers": [ "a:1" ] }, "b": { "servers": [ "a:1" ] } }, "routes": [ { "upstream": "b" } ] })",
        "/upstreams/", "a name is not empty");
    expect_error(
        R"({ "upstream": "a:1", "upstreams": { "default": @{ "servers": [ "a:1" ] } } })",
        "/upstreams/default",
        R"("default" is the name of the upstream that "upstream" makes; another name, or only one of them)");
    expect_error(upstream_with(R"("max_connections": @0)"), "/upstreams/app/max_connections",
                 "0 is not between 1 and 1000000");
    expect_error(upstream_with(R"("retries": @64)"), "/upstreams/app/retries", "64 is not between 0 and 63");
    expect_error(
        upstream_with(R"("balance": @"round")"), "/upstreams/app/balance",
        R"("round" is not "round_robin", "least_requests", "random_two" or "ip_hash"; did you mean "round_robin"?)");
    std::string servers = "\"a:1\"";
    for (int i = 2; i <= 65; ++i) servers += ", \"a:" + std::to_string(i) + "\"";
    expect_error("{ \"upstreams\": { \"app\": { \"servers\": @[ " + servers +
                     " ] } }, \"routes\": [ { \"upstream\": \"app\" } ] }",
                 "/upstreams/app/servers", "more than 64 servers");
}

TEST(Client, HasAllSettingsOfTheContract) {
    const Client client =
        good(
            with(
                R"("client": { "trusted_proxies": [ "10.0.0.0/8", "::1" ], "ipv4_prefix": 24, "ipv6_prefix": 48 })"))
            .client;
    ASSERT_EQ(client.trusted_proxies.size(), 2U);
    EXPECT_EQ(client.trusted_proxies[1].to_string(), "::1/128");
    EXPECT_EQ(client.ipv4_prefix, 24U);
    EXPECT_EQ(client.ipv6_prefix, 48U);
    EXPECT_FALSE(client.trust_unix);
    const Client local = good(with(R"("client": { "trusted_proxies": [ "unix:", "10.0.0.0/8" ] })")).client;
    EXPECT_TRUE(local.trust_unix);
    EXPECT_EQ(local.trusted_proxies.size(), 1U);
    expect_error(
        with(R"("client": { "trusted_proxies": [ "unix:", @"unix:/run/x" ] })"), "/client/trusted_proxies/1",
        R"("unix:/run/x" is not an address block (such as "10.0.0.0/8", "2001:db8::/32" or "192.0.2.7"))");
    for (const auto& [name, from] : {std::pair{"x-forwarded-FOR", AddressFrom::x_forwarded_for},
                                     std::pair{"forwarded", AddressFrom::forwarded},
                                     std::pair{"CF-Connecting-IP", AddressFrom::header}}) {
        const Client by =
            good(with(R"("client": { "address_from": ")" + std::string(name) + R"(" })")).client;
        EXPECT_EQ(by.address_from, from) << name;
        EXPECT_EQ(by.address_header, name);
    }
    expect_error(with(R"("client": { "ipv4_prefix": @33 })"), "/client/ipv4_prefix",
                 "33 is not between 1 and 32");
    expect_error(with(R"("client": { "ipv6_prefix": @0 })"), "/client/ipv6_prefix",
                 "0 is not between 1 and 128");
    expect_error(
        with(R"("client": { "address_from": @"X Real IP" })"), "/client/address_from",
        "\"X Real IP\" is not the name of a header (letters, digits and hyphens, such as \"X-Api-Key\")");
}

TEST(Response, IsAProblemATextOrOnesOwn) {
    EXPECT_EQ(good(with(R"("response": { "body": "text", "headers": "both" })")).response,
              (Response{BodyFormat::text, "", "", RateHeaders::both}));
    EXPECT_EQ(
        good(
            with(
                R"("response": { "body": { "content_type": "text/html; charset=utf-8", "body": "<b>{limit}" }, "headers": "none" })"))
            .response,
        (Response{BodyFormat::custom, "text/html; charset=utf-8", "<b>{limit}", RateHeaders::none}));
    expect_error(with(R"("response": { "body": @"html" })"), "/response/body",
                 R"("html" is not "problem" or "text")");
    expect_error(
        with(R"("response": { "body": @1 })"), "/response/body",
        R"(must be "problem", "text" or an object such as { "content_type": "text/html", "body": "…" }, not a number)");
    expect_error(with(R"("response": { "body": { "body": "x", "content_type": @"html" } })"),
                 "/response/body/content_type",
                 R"("html" is not a media type (such as "text/html; charset=utf-8"))");
    expect_error(with(R"("response": { "body": @{ "content_type": "a/b" } })"), "/response/body",
                 R"("body" is missing (such as "body": "Slow down: {retry_after} s"))");
    expect_error(with(R"("response": { "headers": @"legasy" })"), "/response/headers",
                 R"("legasy" is not "standard", "legacy", "both" or "none"; did you mean "legacy"?)");
}

TEST(Clients, AreBounded) {
    EXPECT_EQ(good(with(R"("clients": { "max": 1, "idle_after": "1s", "sweep_every": "2s" })")).clients,
              (Clients{1, 1s, 2s}));
    expect_error(with(R"("clients": { "max": @0 })"), "/clients/max", "0 is not between 1 and 100000000");
    expect_error(with(R"("clients": { "idle_after": @"0s" })"), "/clients/idle_after",
                 R"("0s" is not a duration (above 0 and at most 3650d, such as "250ms", "1.5s" or "1h30m"))");
}

TEST(Store, IsMemoryOrARedis) {
    EXPECT_FALSE(good(with(R"("store": "memory")")).redis);
    expect_error(with(R"("store": @"redis")"), "/store",
                 R"("redis" is not "memory" or an object such as { "redis": "redis://127.0.0.1:6379/0" })");
    expect_error(with(R"("store": @{})"), "/store",
                 R"("redis" is missing (such as "redis": "redis://127.0.0.1:6379/0"))");
    expect_error(
        with(R"("store": { "redis": @"http://secret@x" })"), "/store/redis",
        R"(not the URL of a Redis ("redis://HOST:PORT/DB", "rediss://…", "redis+sentinel://…" or "redis+cluster://…"))");
}

TEST(Timeouts, AreAllRead) {
    EXPECT_EQ(
        good(
            with(
                R"("timeouts": { "head": "1s", "body": "2s", "write": "3s", "keep_alive": "4s", "drain": "5s", "tunnel": "6s" })"))
            .timeouts,
        (Timeouts{1s, 2s, 3s, 4s, 5s, 6s}));
}

TEST(Maxima, AreAllReadAndWithinWhatTheServiceTakes) {
    EXPECT_EQ(
        good(
            with(
                R"("max": { "head": 2048, "headers": 1, "body": "10MiB", "connections": 5, "requests_per_connection": 6 })"))
            .max,
        (Maxima{2048, 1, 10 << 20, 5, 6}));
    EXPECT_EQ(good(with(R"("max": { "head": "64KiB", "headers": 256, "body": 0 })")).max.body, 0U);
    expect_error(with(R"("max": { "head": @"65KiB" })"), "/max/head", "65KiB is not between 1KiB and 64KiB");
    expect_error(with(R"("max": { "head": @1000 })"), "/max/head", "1000B is not between 1KiB and 64KiB");
    expect_error(with(R"("max": { "headers": @257 })"), "/max/headers", "257 is not between 1 and 256");
    expect_error(with(R"("max": { "headers": @0 })"), "/max/headers", "0 is not between 1 and 256");
    expect_error(with(R"("max": { "connections": @0 })"), "/max/connections",
                 "0 is not between 1 and 10000000");
    expect_error(with(R"("max": { "body": @18446744073709551615 })"), "/max/body",
                 "18446744073709551615 is too large (\"unlimited\" for no limit)");
    expect_error(
        with(R"("max": { "body": @"16 kilo" })"), "/max/body",
        R"("16 kilo" is not a size (bytes, or a text such as "64KiB", "10MiB" or "1MB"; did you mean "16KiB"?))");
}

TEST(Admin, IsAnObjectOrNull) {
    EXPECT_FALSE(good(with(R"("admin": null)")).admin);
    const auto admin = good(with(R"("admin": { "address": "unix:/run/a.sock", "token": "s3cret" })")).admin;
    ASSERT_TRUE(admin);
    EXPECT_EQ(admin->address.unix_path, "/run/a.sock");
    EXPECT_EQ(admin->token, "s3cret");
    EXPECT_EQ(good(with(R"("admin": { "token": "x" })")).admin->address.text, "127.0.0.1:9900");
    expect_error(with(R"("admin": @"127.0.0.1:1")"), "/admin",
                 R"(must be an object such as { "address": "127.0.0.1:9900" }, or null, not a string)");
    expect_error(with(R"("listen": "127.0.0.1:5", "admin": { "address": @"127.0.0.1:5" })"), "/admin/address",
                 R"("127.0.0.1:5" is the address of both "listen" and "admin")");
    expect_error(with(R"("admin": { "token": @"two words" })"), "/admin/token",
                 "a token is visible ASCII characters without blanks");
}

TEST(Check, HasAnAddressOfItsOwn) {
    EXPECT_EQ(good(with(R"("check": "127.0.0.1:5")")).check->text, "127.0.0.1:5");
    expect_error(with(R"("listen": "127.0.0.1:5", "check": @"127.0.0.1:5")"), "/check",
                 R"("127.0.0.1:5" is the address of both "listen" and "check")");
    expect_error(with(R"("check": @"127.0.0.1:9900")"), "/check",
                 R"("127.0.0.1:9900" is the address of both "admin" and "check")");
    EXPECT_TRUE(good(with(R"("admin": null, "check": "127.0.0.1:9900")")).check);
}

TEST(Log, HasAllChoicesOfTheContract) {
    EXPECT_EQ(good(with(R"("log": { "level": "debug", "access": "limited", "format": "text" })")).log,
              (Log{LogLevel::debug, AccessLog::limited, LogFormat::text}));
    EXPECT_EQ(good(with(R"("log": { "level": "off", "access": "off" })")).log,
              (Log{LogLevel::off, AccessLog::off, LogFormat::json}));
    expect_error(with(R"("log": { "access": @"some" })"), "/log/access",
                 R"("some" is not "all", "limited" or "off")");
    expect_error(with(R"("log": { "level": @"warning" })"), "/log/level",
                 R"("warning" is not "debug", "info", "warn", "error" or "off"; did you mean "warn"?)");
    expect_error(with(R"("log": { "level": @3 })"), "/log/level", "must be a string, not a number");
}

TEST(Runtime, IsWithinWhatTheRuntimeTakes) {
    EXPECT_EQ(good(with(R"("runtime": { "workers": 3, "stack": "512KiB" })")).runtime,
              (Runtime{3, 512 * 1024}));
    expect_error(with(R"("runtime": { "workers": @257 })"), "/runtime/workers",
                 "257 is not between 0 and 256");
    expect_error(with(R"("runtime": { "stack": @"128KiB" })"), "/runtime/stack",
                 "128KiB is not between 256KiB and 8MiB");
}

}  // namespace
}  // namespace sluice::config
