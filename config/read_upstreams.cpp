// Where requests go: see sections.h.

#include <algorithm>

#include "config/address.h"
#include "config/checks.h"
#include "config/quote.h"
#include "config/sections.h"

namespace sluice::config {
namespace {

// As many as there are bits in the set of those that a request has tried.
constexpr std::size_t kMaxServers = 64;

constexpr std::string_view kHttps = "https://";

void read_address(Reader& reader, const Value& value, std::string_view text, Address& out) {
    if (auto address = parse_server_address(text)) {
        out = *std::move(address);
    } else {
        reader.complain(value, address.error());
    }
}

void read(Reader& reader, const Value& value, Address& out) {
    if (!is(reader, value, Node::Kind::string,
            "the address of a server, a string such as \"127.0.0.1:3000\""))
        return;
    const std::string_view text = value.node.text;
    if (text.starts_with(kHttps) && parse_server_address(text.substr(kHttps.size()))) {
        reader.complain(value, quote(text) + " is not an address of a server (write " +
                                   quote(text.substr(kHttps.size())) +
                                   R"(, and "tls": {} beside "servers" for https))");
        return;
    }
    read_address(reader, value, text, out);
}

void read(Reader& reader, const Value& value, Server& out) {
    if (value.node.kind != Node::Kind::object) {
        read(reader, value, out.address);
        return;
    }
    Object object(reader, value);
    object.with("address", [&](Reader& r, const Value& v) { read(r, v, out.address); });
    object.field("weight", out.weight, between(1, 1000));
    object.field("backup", out.backup);
    object.require("address", "\"127.0.0.1:3000\"");
}

// Two of one address could not be told apart: in figures, nor when one of them is ejected.
void refuse_repeated(Reader& reader, const Value& value, const std::vector<Server>& servers) {
    for (std::size_t i = 1; i < servers.size(); ++i) {
        const Value item = value.item(i);
        const auto here = servers.begin() + static_cast<std::ptrdiff_t>(i);
        const bool repeated = std::any_of(
            servers.begin(), here, [&](const Server& other) { return other.address == here->address; });
        if (repeated && !reader.complained_about(item.pointer))
            reader.complain(item, quote(here->address.text) +
                                      R"( is a server of this upstream already ("weight" gives it more of )" +
                                      "the requests)");
    }
}

void read_servers(Reader& reader, const Value& value, std::vector<Server>& out) {
    if (!is(reader, value, Node::Kind::array, "an array of servers, such as [\"127.0.0.1:3000\"]")) return;
    for (std::size_t i = 0; i < value.node.items.size(); ++i) read(reader, value.item(i), out.emplace_back());
    if (out.empty()) reader.complain(value, "no server (such as \"127.0.0.1:3000\")");
    if (out.size() > kMaxServers) return reader.complain(value, "more than 64 servers");
    refuse_repeated(reader, value, out);
}

void read(Reader& reader, const Value& value, UpstreamTls& out) {
    Object object(reader, value);
    object.field("verify", out.verify);
    object.field("ca", out.ca, wrong_file);
    object.field("server_name", out.server_name, wrong_host);
}

void read(Reader& reader, const Value& value, Health& out) {
    Object object(reader, value);
    object.field("path", out.path, wrong_target);
    object.field("interval", out.interval);
    object.field("timeout", out.timeout);
    object.field("healthy_after", out.healthy_after, between(1, 1000));
    object.field("unhealthy_after", out.unhealthy_after, between(1, 1000));
}

void read(Reader& reader, const Value& value, Eject& out) {
    Object object(reader, value);
    object.field("after", out.after, between(1, 1'000'000));
    object.field("for", out.duration);
}

void read_eject(Reader& reader, const Value& value, std::optional<Eject>& out) {
    if (value.node.kind == Node::Kind::null)
        out.reset();
    else if (is(reader, value, Node::Kind::object,
                R"(an object such as { "after": 5, "for": "10s" }, or null)"))
        read(reader, value, out.emplace());
}

void read(Reader& reader, const Value& value, Upstream& out) {
    Object object(reader, value);
    object.with("servers", [&](Reader& r, const Value& v) { read_servers(r, v, out.servers); });
    object.field("balance", out.balance);
    object.with("tls", [&](Reader& r, const Value& v) { read(r, v, out.tls.emplace()); });
    object.field("connect_timeout", out.connect_timeout);
    object.field("response_timeout", out.response_timeout);
    object.field("stall_timeout", out.stall_timeout);
    object.field("idle_timeout", out.idle_timeout);
    object.field("max_idle", out.max_idle, between(0, 1'000'000));
    object.field("max_connections", out.max_connections, between(1, 1'000'000));
    object.field("retries", out.retries, between(0, kMaxServers - 1));
    object.with("health", [&](Reader& r, const Value& v) { read(r, v, out.health.emplace()); });
    object.with("eject", [&](Reader& r, const Value& v) { read_eject(r, v, out.eject); });
    object.require("servers", "[ \"127.0.0.1:3000\" ]");
}

}  // namespace

void read_upstream_shorthand(Reader& reader, const Value& value, Upstream& out) {
    out.name = "default";
    std::string_view text = value.node.text;
    if (!is(reader, value, Node::Kind::string,
            "the address of a server, a string such as \"127.0.0.1:3000\""))
        return;
    if (text.starts_with(kHttps)) {
        text.remove_prefix(kHttps.size());
        out.tls.emplace();
    }
    Address& address = out.servers.emplace_back().address;
    read_address(reader, value, text, address);
    if (out.tls && !address.unix_path.empty())
        reader.complain(value,
                        quote(value.node.text) +
                            " names no host that a certificate could be for (write \"upstreams\": { "
                            "\"app\": { \"servers\": [ " +
                            quote(text) +
                            R"( ], "tls": { "server_name": "app.example.com" } } }, and a route to it))");
}

void read_upstreams(Reader& reader, const Value& value, std::vector<Upstream>& out) {
    if (!is(reader, value, Node::Kind::object,
            R"(an object of names and upstreams, such as { "app": { "servers": [ "127.0.0.1:3000" ] } })"))
        return;
    refuse_duplicates(reader, value);
    for (const Member& member : value.node.members) {
        const Value entry = value.entry(member);
        if (const auto wrong = wrong_name(member.key)) reader.complain(member.offset, entry.pointer, *wrong);
        Upstream& upstream = out.emplace_back();
        upstream.name = member.key;
        read(reader, entry, upstream);
    }
}

}  // namespace sluice::config
