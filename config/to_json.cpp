#include "config/to_json.h"

#include "config/duration.h"
#include "config/expand.h"
#include "config/json_text.h"
#include "config/names.h"
#include "config/size.h"

namespace sluice::config {
namespace {

constexpr std::string_view kHidden = "***";

// A text that was read with ${...} in it must read back as what it became.
std::string text(std::string_view content) {
    return escape_variables(content);
}

void add_unless_empty(JsonObject& out, std::string_view name, std::string_view content) {
    if (!content.empty()) out.add(name, text(content));
}

auto pairs(const std::vector<std::pair<std::string, std::string>>& fields) {
    return [&](JsonObject& out) {
        for (const auto& [name, value] : fields) out.add(name, text(value));
    };
}

// What a header must hold may be what tells a client from others.
auto names(const std::vector<std::pair<std::string, std::string>>& fields) {
    return [&](JsonObject& out) {
        for (const auto& [name, value] : fields) out.add(name, kHidden);
    };
}

auto blocks(const std::vector<Cidr>& cidrs) {
    return each(cidrs, [](const Cidr& cidr) { return cidr.to_string(); });
}

auto listener_tls(const ListenTls& tls) {
    return [&](JsonObject& out) {
        out.add({{"certificate", text(tls.certificate)}, {"key", text(tls.key)}});
        add_unless_empty(out, "client_ca", tls.client_ca);
    };
}

auto listen(const Listen& listen) {
    return [&](JsonObject& out) {
        out.add("address", text(listen.address.text));
        if (listen.name != listen.address.text) out.add("name", text(listen.name));
        if (listen.tls) out.add("tls", listener_tls(*listen.tls));
        out.add({{"proxy_protocol", listen.proxy_protocol}, {"reuse_port", listen.reuse_port}});
    };
}

auto server(const Server& server) {
    return [&](JsonObject& out) {
        out.add(
            {{"address", text(server.address.text)}, {"weight", server.weight}, {"backup", server.backup}});
    };
}

auto upstream_tls(const UpstreamTls& tls) {
    return [&](JsonObject& out) {
        out.add("verify", tls.verify);
        add_unless_empty(out, "ca", tls.ca);
        add_unless_empty(out, "server_name", tls.server_name);
    };
}

auto health(const Health& health) {
    return [&](JsonObject& out) {
        out.add({{"path", text(health.path)},
                 {"interval", to_string(health.interval)},
                 {"timeout", to_string(health.timeout)},
                 {"healthy_after", health.healthy_after},
                 {"unhealthy_after", health.unhealthy_after}});
    };
}

auto eject(const Eject& eject) {
    return [&](JsonObject& out) { out.add({{"after", eject.after}, {"for", to_string(eject.duration)}}); };
}

auto upstream(const Upstream& upstream) {
    return [&](JsonObject& out) {
        out.add({{"servers", each(upstream.servers, server)}, {"balance", name_of(upstream.balance)}});
        if (upstream.tls) out.add("tls", upstream_tls(*upstream.tls));
        out.add({{"connect_timeout", to_string(upstream.connect_timeout)},
                 {"response_timeout", to_string(upstream.response_timeout)},
                 {"stall_timeout", to_string(upstream.stall_timeout)},
                 {"idle_timeout", to_string(upstream.idle_timeout)},
                 {"max_idle", upstream.max_idle},
                 {"max_connections", upstream.max_connections},
                 {"retries", upstream.retries}});
        if (upstream.health) out.add("health", health(*upstream.health));
        out.add("eject", upstream.eject ? JsonValue(eject(*upstream.eject)) : JsonValue(nullptr));
    };
}

auto match(const Match& match) {
    return [&](JsonObject& out) {
        add_unless_empty(out, "listener", match.listener);
        add_unless_empty(out, "host", match.host);
        add_unless_empty(out, "path", match.path);
        add_unless_empty(out, "path_prefix", match.path_prefix);
        add_unless_empty(out, "path_regex", match.path_regex);
        if (!match.methods.empty()) out.add("method", each(match.methods, text));
        if (!match.headers.empty()) out.add("header", names(match.headers));
    };
}

auto respond(const Respond& respond) {
    return [&](JsonObject& out) {
        out.add(
            {{"status", respond.status}, {"headers", pairs(respond.headers)}, {"body", text(respond.body)}});
    };
}

auto route(const Route& route) {
    return [&](JsonObject& out) {
        out.add("match", match(route.match));
        if (route.respond) return out.add("respond", respond(*route.respond));
        out.add("upstream", text(route.upstream));
        add_unless_empty(out, "strip_prefix", route.strip_prefix);
        const bool literal = route.host == HostPolicy::literal;
        out.add("host", literal ? text(route.host_literal) : std::string(name_of(route.host)));
    };
}

auto by_method(const Cost& cost) {
    return [&](JsonObject& out) {
        for (const auto& [method, tokens] : cost.by_method) out.add(method, tokens);
    };
}

void add_cost(JsonObject& out, const Cost& cost) {
    if (!cost.by_method.empty()) return out.add("cost", {{"by_method", by_method(cost)}});
    if (cost.header.empty()) return out.add("cost", cost.fixed);
    out.add("cost", {{"header", text(cost.header)}, {"default", cost.fixed}, {"max", cost.max}});
}

// What does not go with the limit's algorithm, action or key is left out: parse() takes it for a mistake.
auto limit(const Limit& limit) {
    return [&](JsonObject& out) {
        out.add({{"name", text(limit.name)}, {"match", match(limit.match)}});
        if (limit.ipv4_prefix) out.add("ipv4_prefix", *limit.ipv4_prefix);
        if (limit.ipv6_prefix) out.add("ipv6_prefix", *limit.ipv6_prefix);
        const auto part = [](const KeyPart& key) { return text(to_string(key)); };
        out.add({{"key", each(limit.key, part)},
                 {"missing", name_of(limit.missing)},
                 {"algorithm", name_of(limit.algorithm)}});
        if (limit.algorithm == Algorithm::concurrency)
            out.add("max", limit.max);
        else
            out.add("rate", text(limit.rate.text));
        if (limit.algorithm == Algorithm::token_bucket) out.add("burst", limit.burst);
        add_cost(out, limit.cost);
        out.add({{"mode", name_of(limit.mode)}, {"action", name_of(limit.action)}});
        if (limit.action == Action::delay) out.add("max_delay", to_string(limit.max_delay));
        out.add("status", limit.status);
        if (limit.ban.after > 0) {
            out.add("ban", {{"after", limit.ban.after},
                            {"within", to_string(limit.ban.within)},
                            {"for", to_string(limit.ban.duration)}});
        }
    };
}

auto client(const Client& client) {
    return [&](JsonObject& out) {
        const auto trusted = [&](JsonArray& to) {
            for (const Cidr& cidr : client.trusted_proxies) to.add(cidr.to_string());
            if (client.trust_unix) to.add("unix:");
        };
        out.add({{"trusted_proxies", trusted},
                 {"address_from", text(client.address_header)},
                 {"ipv4_prefix", client.ipv4_prefix},
                 {"ipv6_prefix", client.ipv6_prefix}});
    };
}

auto response(const Response& response) {
    return [&](JsonObject& out) {
        if (response.format == BodyFormat::custom)
            out.add("body", {{"content_type", text(response.content_type)}, {"body", text(response.body)}});
        else
            out.add("body", name_of(response.format));
        out.add("headers", name_of(response.headers));
    };
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

auto store(const RedisStore& redis) {
    return [&](JsonObject& out) {
        out.add({{"redis", text(without_password(redis.url))},
                 {"timeout", to_string(redis.timeout)},
                 {"on_error", name_of(redis.on_error)}});
    };
}

auto timeouts(const Timeouts& timeouts) {
    return [&](JsonObject& out) {
        out.add({{"head", to_string(timeouts.head)},
                 {"body", to_string(timeouts.body)},
                 {"write", to_string(timeouts.write)},
                 {"keep_alive", to_string(timeouts.keep_alive)},
                 {"drain", to_string(timeouts.drain)},
                 {"tunnel", to_string(timeouts.tunnel)}});
    };
}

auto maxima(const Maxima& max) {
    return [&](JsonObject& out) {
        out.add({{"head", size_text(max.head)},
                 {"headers", max.headers},
                 {"body", size_text(max.body)},
                 {"connections", max.connections},
                 {"requests_per_connection", max.requests_per_connection}});
    };
}

auto admin(const Admin& admin) {
    return [&](JsonObject& out) {
        out.add({{"address", text(admin.address.text)},
                 {"token", admin.token.empty() ? std::string_view() : kHidden}});
    };
}

auto upstreams(const std::vector<Upstream>& upstreams) {
    return [&](JsonObject& out) {
        for (const Upstream& each : upstreams) out.add(each.name, upstream(each));
    };
}

}  // namespace

std::string to_json(const Config& config) {
    return json_text([&](JsonObject& out) {
        out.add({{"listen", each(config.listen, listen)},
                 {"upstreams", upstreams(config.upstreams)},
                 {"routes", each(config.routes, route)},
                 {"client", client(config.client)},
                 {"allow", blocks(config.allow)},
                 {"deny", blocks(config.deny)},
                 {"limits", each(config.limits, limit)},
                 {"response", response(config.response)},
                 {"clients",
                  {{"max", config.clients.max},
                   {"idle_after", to_string(config.clients.idle_after)},
                   {"sweep_every", to_string(config.clients.sweep_every)}}},
                 {"store", config.redis ? JsonValue(store(*config.redis)) : JsonValue("memory")},
                 {"timeouts", timeouts(config.timeouts)},
                 {"max", maxima(config.max)},
                 {"admin", config.admin ? JsonValue(admin(*config.admin)) : JsonValue(nullptr)}});
        if (config.check) out.add("check", text(config.check->text));
        out.add(
            {{"log",
              {{"level", name_of(config.log.level)},
               {"access", name_of(config.log.access)},
               {"format", name_of(config.log.format)}}},
             {"runtime", {{"workers", config.runtime.workers}, {"stack", size_text(config.runtime.stack)}}}});
    });
}

}  // namespace sluice::config
