// The sections that are a few values each: see sections.h.

#include <algorithm>

#include "config/checks.h"
#include "config/quote.h"
#include "config/sections.h"

namespace sluice::config {
namespace {

void read_address_from(Reader& reader, const Value& value, Client& out) {
    if (!is(reader, value, Node::Kind::string, "the name of a header, such as \"X-Forwarded-For\"")) return;
    out.address_header = value.node.text;
    if (const auto wrong = wrong_field_name(out.address_header)) {
        reader.complain(value, *wrong);
        return;
    }
    const auto& names = kNames<AddressFrom>;
    const auto found = std::find_if(names.begin(), names.end(), [&](std::string_view name) {
        return same_ignoring_case(name, out.address_header);
    });
    out.address_from = static_cast<AddressFrom>(found - names.begin());
}

// Blocks of addresses, and "unix:" for the peers that have none.
void read_trusted(Reader& reader, const Value& value, Client& out) {
    if (!is(reader, value, Node::Kind::array)) return;
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
        const Value item = value.item(i);
        if (item.node.kind == Node::Kind::string && item.node.text == "unix:") {
            out.trust_unix = true;
        } else {
            read(reader, item, out.trusted_proxies.emplace_back());
        }
    }
}

void read_body(Reader& reader, const Value& value, Response& out) {
    if (value.node.kind == Node::Kind::object) {
        out.format = BodyFormat::custom;
        Object object(reader, value);
        object.field("content_type", out.content_type, wrong_content_type);
        object.field("body", out.body);
        object.require("content_type", "\"text/html\"");
        object.require("body", "\"Slow down: {retry_after} s\"");
        return;
    }
    if (is(reader, value, Node::Kind::string,
           R"("problem", "text" or an object such as { "content_type": "text/html", "body": "…" })"))
        read(reader, value, out.format);
}

}  // namespace

void read(Reader& reader, const Value& value, Client& out) {
    Object object(reader, value);
    object.with("trusted_proxies", [&](Reader& r, const Value& v) { read_trusted(r, v, out); });
    object.with("address_from", [&](Reader& r, const Value& v) { read_address_from(r, v, out); });
    object.field("ipv4_prefix", out.ipv4_prefix, between(1, 32));
    object.field("ipv6_prefix", out.ipv6_prefix, between(1, 128));
}

void read(Reader& reader, const Value& value, Response& out) {
    Object object(reader, value);
    object.with("body", [&](Reader& r, const Value& v) { read_body(r, v, out); });
    object.field("headers", out.headers);
}

void read(Reader& reader, const Value& value, Clients& out) {
    Object object(reader, value);
    object.field("max", out.max, between(1, 100'000'000));
    object.field("idle_after", out.idle_after);
    object.field("sweep_every", out.sweep_every);
}

void read_store(Reader& reader, const Value& value, std::optional<RedisStore>& out) {
    if (value.node.kind == Node::Kind::string && value.node.text == "memory") return;
    constexpr std::string_view kForms =
        R"("memory" or an object such as { "redis": "redis://127.0.0.1:6379/0" })";
    if (value.node.kind == Node::Kind::string) {
        reader.complain(value, quote(value.node.text) + " is not " + std::string(kForms));
        return;
    }
    if (!is(reader, value, Node::Kind::object, kForms)) return;
    out.emplace();
    Object object(reader, value);
    object.field("redis", out->url, wrong_redis_url);
    object.field("timeout", out->timeout);
    object.field("on_error", out->on_error);
    object.require("redis", "\"redis://127.0.0.1:6379/0\"");
}

void read(Reader& reader, const Value& value, Timeouts& out) {
    Object object(reader, value);
    object.field("head", out.head);
    object.field("body", out.body);
    object.field("write", out.write);
    object.field("keep_alive", out.keep_alive);
    object.field("drain", out.drain);
    object.field("tunnel", out.tunnel);
}

void read(Reader& reader, const Value& value, Maxima& out) {
    Object object(reader, value);
    // A head is read into one piece of the task's memory, and its fields into a table of fixed size.
    object.size("head", out.head, bytes_between(1024, 64 * 1024));
    object.field("headers", out.headers, between(1, 256));
    object.with("body", [&](Reader& r, const Value& v) { read_size_or_unlimited(r, v, out.body); });
    object.field("connections", out.connections, between(1, 10'000'000));
    object.field("requests_per_connection", out.requests_per_connection);
}

void read_admin(Reader& reader, const Value& value, std::optional<Admin>& out) {
    if (value.node.kind == Node::Kind::null) {
        out.reset();
        return;
    }
    if (!is(reader, value, Node::Kind::object,
            R"(an object such as { "address": "127.0.0.1:9900" }, or null)"))
        return;
    Object object(reader, value);
    object.with("address", [&](Reader& r, const Value& v) { read_listen_address(r, v, out->address); });
    object.field("token", out->token, wrong_admin_token);
}

void read(Reader& reader, const Value& value, Log& out) {
    Object object(reader, value);
    object.field("level", out.level);
    object.field("access", out.access);
    object.field("format", out.format);
}

void read(Reader& reader, const Value& value, Runtime& out) {
    Object object(reader, value);
    object.field("workers", out.workers, between(0, 256));
    object.size("stack", out.stack, bytes_between(256 * 1024, 8 * 1024 * 1024));
}

}  // namespace sluice::config
