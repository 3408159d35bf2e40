#include "config/to_json.h"

#include <nlohmann/json.hpp>

#include "config/duration.h"
#include "config/expand.h"
#include "config/names.h"
#include "config/size.h"

namespace sluice::config {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHidden = "***";

// A text that was read with ${...} in it must read back as what it became.
Json text(std::string_view content) {
    return escape_variables(content);
}

Json duration(Duration value) {
    return to_string(value);
}

template <class Choice>
Json choice(Choice value) {
    return std::string(name_of(value));
}

Json pairs(const std::vector<std::pair<std::string, std::string>>& fields) {
    Json out = Json::object();
    for (const auto& [name, value] : fields) out[name] = text(value);
    return out;
}

// What a header must hold may be what tells a client from others.
Json names(const std::vector<std::pair<std::string, std::string>>& fields) {
    Json out = Json::object();
    for (const auto& [name, value] : fields) out[name] = kHidden;
    return out;
}

Json blocks(const std::vector<Cidr>& cidrs) {
    Json out = Json::array();
    for (const Cidr& cidr : cidrs) out.push_back(cidr.to_string());
    return out;
}

Json listen(const Listen& listen) {
    Json out{{"address", text(listen.address.text)}};
    if (listen.name != listen.address.text) out["name"] = text(listen.name);
    if (listen.tls) {
        out["tls"] = {{"certificate", text(listen.tls->certificate)}, {"key", text(listen.tls->key)}};
        if (!listen.tls->client_ca.empty()) out["tls"]["client_ca"] = text(listen.tls->client_ca);
    }
    out["proxy_protocol"] = listen.proxy_protocol;
    out["reuse_port"] = listen.reuse_port;
    return out;
}

Json server(const Server& server) {
    return {{"address", text(server.address.text)}, {"weight", server.weight}, {"backup", server.backup}};
}

Json upstream_tls(const UpstreamTls& tls) {
    Json out{{"verify", tls.verify}};
    if (!tls.ca.empty()) out["ca"] = text(tls.ca);
    if (!tls.server_name.empty()) out["server_name"] = text(tls.server_name);
    return out;
}

Json upstream(const Upstream& upstream) {
    Json out{{"servers", Json::array()}, {"balance", choice(upstream.balance)}};
    for (const Server& each : upstream.servers) out["servers"].push_back(server(each));
    if (upstream.tls) out["tls"] = upstream_tls(*upstream.tls);
    out["connect_timeout"] = duration(upstream.connect_timeout);
    out["response_timeout"] = duration(upstream.response_timeout);
    out["stall_timeout"] = duration(upstream.stall_timeout);
    out["idle_timeout"] = duration(upstream.idle_timeout);
    out["max_idle"] = upstream.max_idle;
    out["max_connections"] = upstream.max_connections;
    out["retries"] = upstream.retries;
    if (const auto& health = upstream.health) {
        out["health"] = {{"path", text(health->path)},
                         {"interval", duration(health->interval)},
                         {"timeout", duration(health->timeout)},
                         {"healthy_after", health->healthy_after},
                         {"unhealthy_after", health->unhealthy_after}};
    }
    out["eject"] = nullptr;
    if (const auto& eject = upstream.eject)
        out["eject"] = {{"after", eject->after}, {"for", duration(eject->duration)}};
    return out;
}

Json match(const Match& match) {
    Json out = Json::object();
    if (!match.listener.empty()) out["listener"] = text(match.listener);
    if (!match.host.empty()) out["host"] = text(match.host);
    if (!match.path.empty()) out["path"] = text(match.path);
    if (!match.path_prefix.empty()) out["path_prefix"] = text(match.path_prefix);
    if (!match.path_regex.empty()) out["path_regex"] = text(match.path_regex);
    for (const std::string& method : match.methods) out["method"].push_back(text(method));
    if (!match.headers.empty()) out["header"] = names(match.headers);
    return out;
}

Json route(const Route& route) {
    Json out{{"match", match(route.match)}};
    if (route.respond) {
        out["respond"] = {{"status", route.respond->status},
                          {"headers", pairs(route.respond->headers)},
                          {"body", text(route.respond->body)}};
        return out;
    }
    out["upstream"] = text(route.upstream);
    if (!route.strip_prefix.empty()) out["strip_prefix"] = text(route.strip_prefix);
    out["host"] = route.host == HostPolicy::literal ? text(route.host_literal) : choice(route.host);
    return out;
}

Json cost(const Cost& cost) {
    if (!cost.by_method.empty()) return {{"by_method", cost.by_method}};
    if (cost.header.empty()) return cost.fixed;
    return {{"header", text(cost.header)}, {"default", cost.fixed}, {"max", cost.max}};
}

// What does not go with the limit's algorithm, action or key is left out: parse() takes it for a mistake.
Json limit(const Limit& limit) {
    Json out{{"name", text(limit.name)}, {"match", match(limit.match)}};
    if (limit.ipv4_prefix) out["ipv4_prefix"] = *limit.ipv4_prefix;
    if (limit.ipv6_prefix) out["ipv6_prefix"] = *limit.ipv6_prefix;
    out["key"] = Json::array();
    for (const KeyPart& part : limit.key) out["key"].push_back(text(to_string(part)));
    out["missing"] = choice(limit.missing);
    out["algorithm"] = choice(limit.algorithm);
    if (limit.algorithm == Algorithm::concurrency) {
        out["max"] = limit.max;
    } else {
        out["rate"] = text(limit.rate.text);
    }
    if (limit.algorithm == Algorithm::token_bucket) out["burst"] = limit.burst;
    out["cost"] = cost(limit.cost);
    out["mode"] = choice(limit.mode);
    out["action"] = choice(limit.action);
    if (limit.action == Action::delay) out["max_delay"] = duration(limit.max_delay);
    out["status"] = limit.status;
    if (limit.ban.after > 0) {
        out["ban"] = {{"after", limit.ban.after},
                      {"within", duration(limit.ban.within)},
                      {"for", duration(limit.ban.duration)}};
    }
    return out;
}

Json client(const Client& client) {
    Json trusted = blocks(client.trusted_proxies);
    if (client.trust_unix) trusted.push_back("unix:");
    return {{"trusted_proxies", trusted},
            {"address_from", text(client.address_header)},
            {"ipv4_prefix", client.ipv4_prefix},
            {"ipv6_prefix", client.ipv6_prefix}};
}

Json response(const Response& response) {
    Json body = choice(response.format);
    if (response.format == BodyFormat::custom)
        body = {{"content_type", text(response.content_type)}, {"body", text(response.body)}};
    return {{"body", body}, {"headers", choice(response.headers)}};
}

// "redis://user:password@host": what stands between the colon and the last @ before the path.
std::string without_password(std::string url) {
    const auto begin = url.find("://");
    if (begin == std::string::npos) return url;
    const auto at = url.substr(0, url.find('/', begin + 3)).rfind('@');
    const auto colon = url.find(':', begin + 3);
    if (at == std::string::npos || colon > at) return url;
    return url.replace(colon + 1, at - colon - 1, kHidden);
}

Json store(const std::optional<RedisStore>& redis) {
    if (!redis) return "memory";
    return {{"redis", text(without_password(redis->url))},
            {"timeout", duration(redis->timeout)},
            {"on_error", choice(redis->on_error)}};
}

Json timeouts(const Timeouts& timeouts) {
    return {{"head", duration(timeouts.head)},   {"body", duration(timeouts.body)},
            {"write", duration(timeouts.write)}, {"keep_alive", duration(timeouts.keep_alive)},
            {"drain", duration(timeouts.drain)}, {"tunnel", duration(timeouts.tunnel)}};
}

Json maxima(const Maxima& max) {
    return {{"head", size_text(max.head)},
            {"headers", max.headers},
            {"body", size_text(max.body)},
            {"connections", max.connections},
            {"requests_per_connection", max.requests_per_connection}};
}

Json admin(const std::optional<Admin>& admin) {
    if (!admin) return nullptr;
    return {{"address", text(admin->address.text)}, {"token", admin->token.empty() ? "" : kHidden}};
}

Json object(const Config& config) {
    Json out{{"listen", Json::array()}, {"upstreams", Json::object()}, {"routes", Json::array()}};
    for (const Listen& each : config.listen) out["listen"].push_back(listen(each));
    for (const Upstream& each : config.upstreams) out["upstreams"][each.name] = upstream(each);
    for (const Route& each : config.routes) out["routes"].push_back(route(each));
    out["client"] = client(config.client);
    out["allow"] = blocks(config.allow);
    out["deny"] = blocks(config.deny);
    out["limits"] = Json::array();
    for (const Limit& each : config.limits) out["limits"].push_back(limit(each));
    out["response"] = response(config.response);
    out["clients"] = {{"max", config.clients.max},
                      {"idle_after", duration(config.clients.idle_after)},
                      {"sweep_every", duration(config.clients.sweep_every)}};
    out["store"] = store(config.redis);
    out["timeouts"] = timeouts(config.timeouts);
    out["max"] = maxima(config.max);
    out["admin"] = admin(config.admin);
    if (config.check) out["check"] = text(config.check->text);
    out["log"] = {{"level", choice(config.log.level)},
                  {"access", choice(config.log.access)},
                  {"format", choice(config.log.format)}};
    out["runtime"] = {{"workers", config.runtime.workers}, {"stack", size_text(config.runtime.stack)}};
    return out;
}

}  // namespace

std::string to_json(const Config& config) {
    // Bytes that are no UTF-8 can come from the environment.
    return object(config).dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::config
