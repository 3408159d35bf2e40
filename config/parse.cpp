#include "config/parse.h"

#include <algorithm>

#include "config/address.h"
#include "config/expand.h"
#include "config/sections.h"
#include "config/text.h"
#include "config/validate.h"

namespace sluice::config {
namespace {

// Puts the environment into every string but the keys: what a file is made of is told by itself.
void expand_strings(Reader& reader, Node& node, const std::string& pointer, const Environment& environment) {
    if (node.kind == Node::Kind::string && node.text.contains("${")) {
        if (auto text = expand(node.text, environment)) {
            node.text = *std::move(text);
            node.from_environment = true;
        } else {
            reader.complain(node.offset, pointer, text.error());
            node.failed = true;
        }
    }
    for (std::size_t i = 0; i < node.items.size(); ++i)
        expand_strings(reader, node.items[i], pointer + "/" + std::to_string(i), environment);
    for (Member& member : node.members) {
        const std::string inside = pointer + "/" + pointer_part(member.key);
        member.failed = member.key.contains("${");
        if (member.failed)
            reader.complain(member.offset, inside, "names are not expanded: write the key out");
        expand_strings(reader, member.value, inside, environment);
    }
}

void name_the_nameless(std::vector<Limit>& limits) {
    for (std::size_t i = 0; i < limits.size(); ++i) {
        if (limits[i].name.empty()) limits[i].name = "limit-" + std::to_string(i + 1);
    }
}

Errors one_error(std::string_view text, std::string file, std::size_t offset, std::string message) {
    const Place place = place_of(text, offset);
    return {Error{std::move(file), place.line, place.column, "", std::move(message)}};
}

}  // namespace

void read(Reader& reader, const Value& value, Config& out) {
    Object object(reader, value);
    object.with("listen", [&](Reader& r, const Value& v) { read_listen(r, v, out.listen); });
    object.with("upstreams", [&](Reader& r, const Value& v) { read_upstreams(r, v, out.upstreams); });
    object.field("routes", out.routes);
    object.with("upstream", [&](Reader& r, const Value& v) {
        read_upstream_shorthand(r, v, out.upstreams.emplace_back());
    });
    object.field("client", out.client);
    object.field("allow", out.allow);
    object.field("deny", out.deny);
    object.field("limits", out.limits);
    object.field("response", out.response);
    object.field("clients", out.clients);
    object.with("store", [&](Reader& r, const Value& v) { read_store(r, v, out.redis); });
    object.field("timeouts", out.timeouts);
    object.field("max", out.max);
    object.with("admin", [&](Reader& r, const Value& v) { read_admin(r, v, out.admin); });
    object.with("check", [&](Reader& r, const Value& v) { read_listen_address(r, v, out.check.emplace()); });
    object.field("log", out.log);
    object.field("runtime", out.runtime);
    std::string schema;  // for editors
    object.field("$schema", schema);

    if (!object.has("listen"))
        out.listen.push_back({*parse_listen_address("0.0.0.0:8080"), "0.0.0.0:8080", {}, false});
    if (object.has("upstream")) out.routes.push_back({{}, "default", {}, "", HostPolicy::preserve, ""});
    name_the_nameless(out.limits);
}

std::expected<Config, Errors> parse(std::string_view text, std::string file, const Environment& environment,
                                    const Judges& judges) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (text.size() > kMaxFileBytes)
        return std::unexpected(Errors{{std::move(file), 0, 0, "", "is larger than 4 MiB"}});
    if (const auto bad = first_bad_byte(text))
        return std::unexpected(one_error(text, std::move(file), *bad, "not UTF-8 text"));
    auto document = parse_document(text, kMaxDepth);
    if (!document)
        return std::unexpected(
            one_error(text, std::move(file), document.error().offset, document.error().message));

    Reader reader(std::move(file), text);
    expand_strings(reader, *document, "", environment);
    Config config;
    const Value root{*document, "", ""};
    read(reader, root, config);
    validate(reader, root, config, judges);
    if (auto errors = reader.take(); !errors.empty()) return std::unexpected(std::move(errors));
    std::ranges::sort(config.upstreams, {}, &Upstream::name);
    return config;
}

}  // namespace sluice::config
