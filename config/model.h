#pragma once

// The whole configuration as plain values, after defaults: what parse() returns and every other part is built
// from. Values copy and compare; nothing here parses, reads a clock or knows JSON.

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::config {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// A size that is not bounded.
inline constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// An address block. IPv4 is held as IPv6-mapped (::ffff:a.b.c.d), so that prefix_bits counts from 0 to 128
/// for both.
struct Cidr {
    std::array<std::uint8_t, 16> address{};
    std::uint8_t prefix_bits = 128;

    bool contains(const std::array<std::uint8_t, 16>& other) const;
    std::string to_string() const;
    bool operator==(const Cidr&) const = default;
};

/// Where to listen or to connect: HOST:PORT, or a Unix socket's path.
struct Address {
    std::string text;  // as written, without a scheme
    std::string host;  // name or literal, without brackets; empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;  // without "unix:"; empty for TCP
    bool operator==(const Address&) const = default;
};

/// COUNT per period: "100/10s" is {100, 10s}.
struct Rate {
    std::uint64_t count = 0;
    Duration per{};
    std::string text;  // as written
    bool operator==(const Rate&) const = default;
};

struct ListenTls {
    std::string certificate;
    std::string key;
    std::string client_ca;  // empty: no client certificates
    bool operator==(const ListenTls&) const = default;
};

struct Listen {
    Address address;
    std::string name;  // what routes and limits may match on; the address as written unless named
    std::optional<ListenTls> tls;
    bool proxy_protocol = false;
    bool reuse_port = false;  // another process may listen there too: a successor
    bool operator==(const Listen&) const = default;
};

struct Server {
    Address address;
    unsigned weight = 1;
    bool backup = false;
    bool operator==(const Server&) const = default;
};

enum class Balance : std::uint8_t { round_robin, least_requests, random_two, ip_hash };

struct UpstreamTls {
    bool verify = true;
    std::string ca;           // empty: the system's
    std::string server_name;  // empty: the server's host
    bool operator==(const UpstreamTls&) const = default;
};

struct Health {
    std::string path = "/healthz";
    Duration interval = 5s;
    Duration timeout = 1s;
    unsigned healthy_after = 2;
    unsigned unhealthy_after = 3;
    bool operator==(const Health&) const = default;
};

struct Eject {
    unsigned after = 5;  // consecutive failures
    Duration duration = 10s;
    bool operator==(const Eject&) const = default;
};

struct Upstream {
    std::string name;
    std::vector<Server> servers;
    Balance balance = Balance::round_robin;
    std::optional<UpstreamTls> tls;
    Duration connect_timeout = 1s;
    Duration response_timeout = 30s;
    Duration stall_timeout = 30s;
    Duration idle_timeout = 60s;
    std::uint64_t max_idle = 128;
    std::uint64_t max_connections = 1024;
    unsigned retries = 1;
    std::optional<Health> health;
    std::optional<Eject> eject = Eject{};  // none: no server is
    bool operator==(const Upstream&) const = default;
};

/// Empty fields match everything.
struct Match {
    std::string listener;  // the name of a listen entry
    std::string host;
    std::string path;
    std::string path_prefix;
    std::string path_regex;
    std::vector<std::string> methods;
    std::vector<std::pair<std::string, std::string>> headers;
    bool operator==(const Match&) const = default;
};

struct Respond {
    unsigned status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    bool operator==(const Respond&) const = default;
};

enum class HostPolicy : std::uint8_t { preserve, upstream, literal };

struct Route {
    Match match;
    std::string upstream;  // empty when it responds itself
    std::optional<Respond> respond;
    std::string strip_prefix;
    HostPolicy host = HostPolicy::preserve;
    std::string host_literal;
    bool operator==(const Route&) const = default;
};

enum class AddressFrom : std::uint8_t { x_forwarded_for, forwarded, header };

struct Client {
    std::vector<Cidr> trusted_proxies;
    bool trust_unix = false;  // "unix:" among them: whoever connects to a Unix socket
    AddressFrom address_from = AddressFrom::x_forwarded_for;
    std::string address_header = "X-Forwarded-For";  // the field's name, whatever the kind
    unsigned ipv4_prefix = 32;
    unsigned ipv6_prefix = 64;
    bool operator==(const Client&) const = default;
};

enum class KeyKind : std::uint8_t { ip, global, host, method, path, route, header, cookie, query };

struct KeyPart {
    KeyKind kind = KeyKind::ip;
    std::string name;  // of the header, cookie or query parameter
    bool operator==(const KeyPart&) const = default;
};

enum class Algorithm : std::uint8_t { token_bucket, fixed_window, sliding_window, concurrency };
enum class Mode : std::uint8_t { enforce, shadow };
enum class Action : std::uint8_t { reject, delay };
enum class Missing : std::uint8_t { ip, skip };

struct Cost {
    std::uint64_t fixed = 1;                         // the cost, or the default of the header's
    std::string header;                              // empty: not from a header
    std::uint64_t max = 100;                         // of the header's value
    std::map<std::string, std::uint64_t> by_method;  // others cost 1
    bool operator==(const Cost&) const = default;
};

struct Ban {
    unsigned after = 0;  // 0: never
    Duration within{};
    Duration duration{};
    bool operator==(const Ban&) const = default;
};

struct Limit {
    std::string name;  // never empty after parsing
    Match match;
    std::optional<unsigned> ipv4_prefix;
    std::optional<unsigned> ipv6_prefix;
    std::vector<KeyPart> key = {KeyPart{}};
    Missing missing = Missing::ip;
    Algorithm algorithm = Algorithm::token_bucket;
    Rate rate;
    std::uint64_t burst = 0;  // token_bucket; after parsing: as written, else rate.count
    std::uint64_t max = 0;    // concurrency
    Cost cost;
    Mode mode = Mode::enforce;
    Action action = Action::reject;
    static constexpr Duration kMaxDelay = 1s;
    Duration max_delay = kMaxDelay;
    unsigned status = 429;
    Ban ban;
    bool operator==(const Limit&) const = default;
};

enum class BodyFormat : std::uint8_t { problem, text, custom };
enum class RateHeaders : std::uint8_t { standard, legacy, both, none };

struct Response {
    BodyFormat format = BodyFormat::problem;
    std::string content_type;  // custom
    std::string body;          // custom: {limit} {retry_after} {key}
    RateHeaders headers = RateHeaders::standard;
    bool operator==(const Response&) const = default;
};

struct Clients {
    std::uint64_t max = 1'000'000;
    Duration idle_after = 3min;
    Duration sweep_every = 1min;
    bool operator==(const Clients&) const = default;
};

enum class StoreError : std::uint8_t { local, allow, deny };

struct RedisStore {
    std::string url;
    Duration timeout = 20ms;
    StoreError on_error = StoreError::local;
    bool operator==(const RedisStore&) const = default;
};

struct Timeouts {
    Duration head = 10s;
    Duration body = 30s;
    Duration write = 30s;
    Duration keep_alive = 75s;
    Duration drain = 10s;
    Duration tunnel = 1h;  // without a byte either way
    bool operator==(const Timeouts&) const = default;
};

struct Maxima {
    std::uint64_t head = 16 * 1024;
    std::uint64_t headers = 100;
    std::uint64_t body = kUnlimited;
    std::uint64_t connections = 20000;
    std::uint64_t requests_per_connection = 0;  // 0: any number
    bool operator==(const Maxima&) const = default;
};

struct Admin {
    Address address;
    std::string token;  // empty: none needed
    bool operator==(const Admin&) const = default;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error, off };
enum class AccessLog : std::uint8_t { all, limited, off };
enum class LogFormat : std::uint8_t { json, text };

struct Log {
    LogLevel level = LogLevel::info;
    AccessLog access = AccessLog::all;
    LogFormat format = LogFormat::json;
    bool operator==(const Log&) const = default;
};

struct Runtime {
    unsigned workers = 0;  // 0: the CPUs this process may use
    std::uint64_t stack = 256 * 1024;
    bool operator==(const Runtime&) const = default;
};

struct Config {
    std::vector<Listen> listen;
    std::vector<Upstream> upstreams;  // in the order of their names; "upstream" is one named "default"
    std::vector<Route> routes;        // "upstream" becomes one that matches everything, after the others
    Client client;
    std::vector<Cidr> allow;
    std::vector<Cidr> deny;
    std::vector<Limit> limits;
    Response response;
    Clients clients;
    std::optional<RedisStore> redis;  // none: the store is memory
    Timeouts timeouts;
    Maxima max;
    std::optional<Admin> admin = Admin{{"127.0.0.1:9900", "127.0.0.1", 9900, ""}, ""};
    std::optional<Address> check;  // a listener for decisions alone
    Log log;
    Runtime runtime;
    bool operator==(const Config&) const = default;
};

}  // namespace sluice::config
