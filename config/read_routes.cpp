// Which request goes where: see sections.h.

#include <algorithm>
#include <array>

#include "config/checks.h"
#include "config/quote.h"
#include "config/sections.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

Complaint empty(const std::string& text, std::string_view what) {
    if (!text.empty()) return std::nullopt;
    return "is empty (leave it out to match every " + std::string(what) + ")";
}

// "*" is the whole target of OPTIONS *, and begins no other.
Complaint wrong_path_of_prefix(const std::string& text) {
    if (text != "*") return wrong_path_of_rule(text);
    return R"("*" is no beginning of a path (leave it out to match every path))";
}

void read_methods(Reader& reader, const Value& value, std::vector<std::string>& out) {
    if (value.node.kind == Node::Kind::string) {
        out = {value.node.text};
        if (const auto wrong = wrong_method(out[0])) reader.complain(value, *wrong);
        return;
    }
    if (!is(reader, value, Node::Kind::array, "an array of methods, such as [\"GET\"]")) return;
    read(reader, value, out);
    if (out.empty()) reader.complain(value, "is empty (leave it out to match every method)");
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (reader.complained_about(value.item(i).pointer)) continue;
        if (const auto wrong = wrong_method(out[i])) reader.complain(value.item(i), *wrong);
    }
}

void read_fields(Reader& reader, const Value& value, std::vector<std::pair<std::string, std::string>>& out) {
    read_pairs(reader, value, out);
    if (value.node.kind != Node::Kind::object) return;
    for (const Member& member : value.node.members) {
        const Value entry = value.entry(member);
        if (reader.complained_about(entry.pointer)) continue;
        if (const auto wrong = wrong_field_name(member.key))
            reader.complain(member.offset, entry.pointer, *wrong);
        else if (const auto bad = wrong_field_value(member.value.text))
            reader.complain(entry, *bad);
    }
}

// What frames a message is written by the proxy, from the message.
bool is_framing(std::string_view name) {
    static constexpr std::array<std::string_view, 6> kFraming{"connection", "content-length",    "keep-alive",
                                                              "trailer",    "transfer-encoding", "upgrade"};
    return std::any_of(kFraming.begin(), kFraming.end(),
                       [&](std::string_view other) { return same_ignoring_case(name, other); });
}

constexpr std::size_t kRespondHeadersMax = 8 * 1024;  // what the service has room for behind its own fields

void read_respond_fields(Reader& reader, const Value& value,
                         std::vector<std::pair<std::string, std::string>>& out) {
    read_fields(reader, value, out);
    if (value.node.kind != Node::Kind::object) return;
    for (const Member& member : value.node.members) {
        if (is_framing(member.key))
            reader.complain(member.offset, value.entry(member).pointer,
                            quote(member.key) + " is written by Sluice itself, as the answer needs it");
    }
}

void read(Reader& reader, const Value& value, Respond& out) {
    Object object(reader, value);
    object.field("status", out.status, between(200, 599));
    object.with("headers", [&](Reader& r, const Value& v) {
        read_respond_fields(r, v, out.headers);
        std::size_t bytes = 0;
        for (const auto& [name, text] : out.headers) bytes += name.size() + text.size() + 4;
        if (bytes > kRespondHeadersMax) r.complain(v, "the headers are longer than 8KiB in all");
    });
    object.field("body", out.body, [&](const std::string& body) -> Complaint {
        if (body.empty() || (out.status != 204 && out.status != 304)) return std::nullopt;
        return "an answer with the status " + std::to_string(out.status) + " has no body";
    });
}

void read_host(Reader& reader, const Value& value, Route& out) {
    if (!is(reader, value, Node::Kind::string, R"("preserve", "upstream" or a host)")) return;
    const std::string& text = value.node.text;
    for (const HostPolicy policy : {HostPolicy::preserve, HostPolicy::upstream}) {
        if (text == name_of(policy)) {
            out.host = policy;
            return;
        }
    }
    out.host = HostPolicy::literal;
    out.host_literal = text;
    const auto& names = kNames<HostPolicy>;
    const auto near = std::find_if(names.begin(), names.end(),
                                   [&](std::string_view name) { return edit_distance(text, name) <= 2; });
    const bool word = std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A'; });
    if (word && near != names.end()) {
        reader.complain(value, quote(text) + " is a host as written; did you mean " + quote(*near) + "? (" +
                                   quote(text + ":80") + " for a host of that name)");
    } else if (const auto wrong = wrong_authority(text)) {
        reader.complain(value, *wrong);
    }
}

}  // namespace

void read(Reader& reader, const Value& value, Match& out) {
    Object object(reader, value);
    object.field("listener", out.listener, [](const std::string& text) { return empty(text, "listener"); });
    object.field("host", out.host, wrong_host);
    object.field("path", out.path, wrong_path_of_rule);
    object.field("path_prefix", out.path_prefix, wrong_path_of_prefix);
    object.field("path_regex", out.path_regex, [](const std::string& text) { return empty(text, "path"); });
    object.with("method", [&](Reader& r, const Value& v) { read_methods(r, v, out.methods); });
    object.with("header", [&](Reader& r, const Value& v) { read_fields(r, v, out.headers); });
}

void read(Reader& reader, const Value& value, Route& out) {
    Object object(reader, value);
    object.field("match", out.match);
    object.field("upstream", out.upstream);
    object.with("respond", [&](Reader& r, const Value& v) { read(r, v, out.respond.emplace()); });
    object.field("strip_prefix", out.strip_prefix, wrong_strip_prefix);
    object.with("host", [&](Reader& r, const Value& v) { read_host(r, v, out); });
    if (object.has("respond")) {
        for (const std::string_view key : {"upstream", "strip_prefix", "host"})
            object.refuse(key, "does not go with \"respond\", which answers without an upstream");
    } else if (!object.has("upstream") && !reader.complained_about(value.pointer)) {
        reader.complain(value, R"("upstream" or "respond" is missing (such as "upstream": "default"))");
    }
}

}  // namespace sluice::config
