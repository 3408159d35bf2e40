#include "config/validate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/overlap.h"
#include "config/quote.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMaxLimits = 32;

std::optional<Value> key(const Value& object, std::string_view name) {
    for (const Member& member : object.node.members) {
        if (member.key == name) return object.member(member);
    }
    return std::nullopt;
}

// The i-th of an array; the value itself where one stands for an array of one.
Value item(const Value& array, std::size_t i) {
    return array.node.kind == Node::Kind::array ? array.item(i) : array;
}

// What other values may name.
class Names {
  public:
    template <class Named>
    explicit Names(const std::vector<Named>& all) {
        for (const Named& each : all) in_order_.push_back(each.name);
        sorted_ = {in_order_.begin(), in_order_.end()};
    }

    bool contains(std::string_view name) const { return sorted_.contains(name); }
    std::string suggestion(std::string_view name) const { return did_you_mean(name, in_order_); }

  private:
    std::vector<std::string_view> in_order_;
    std::set<std::string_view> sorted_;
};

// Looks at one value unless there is an error in it already.
class Validator {
  public:
    Validator(Reader& reader, const Value& root, const Config& config, const Judges& judges)
        : reader_(reader), root_(root), config_(config), judges_(judges), listeners_(config.listen) {}

    void listeners();
    void certificates();
    void admin();
    void check();
    void server_names();
    void upstreams();
    void routes();
    void limits();
    void whether_anything_is_served();

  private:
    void complain(const Value& value, std::string message) {
        if (!reader_.complained_about(value.pointer)) reader_.complain(value, std::move(message));
    }

    // What `judge` says of the file that `name` names.
    template <class Judge, class... More>
    void judge(const Value& object, std::string_view name, const std::string& file, const Judge& judge,
               const More&... more) {
        const auto where = key(object, name);
        if (!where || !judge || reader_.complained_about(where->pointer)) return;
        if (const auto wrong = judge(file, more...)) complain(*where, quote(file) + " " + *wrong);
    }

    std::string pointer_of(const Listen& entry) const;
    void match(const Value& rule, const Match& match);
    void strip_prefix(const Value& route, const Route& settings);

    Reader& reader_;
    const Value& root_;
    const Config& config_;
    const Judges& judges_;
    const Names listeners_;
};

// Who comes in by which of them, the name tells that a client asks for under TLS.
bool share(const Listen& a, const Listen& b) {
    return a.tls && b.tls && a.address == b.address && a.proxy_protocol == b.proxy_protocol &&
           a.reuse_port == b.reuse_port;
}

bool has_default_name(const Listen& listen) {
    return listen.name == listen.address.text;
}

// Listeners that have something in common. Who gets on with one of them gets on with all, as long as they do
// with each other: so the first is enough to compare with, however many there are.
struct Company {
    const Listen* first;
    bool in_peace = true;

    /// Whether `listen` gets on with all that came before it.
    template <class GetOn>
    bool welcomes(const Listen& listen, GetOn get_on) {
        const bool welcome = in_peace && (&listen == first || get_on(*first, listen));
        in_peace = welcome;
        return welcome;
    }
};

// What listens at one port, once for each place.
struct Port {
    std::vector<const Listen*> all, single;

    /// Whoever cannot be open at the same time as `listen`; null: nobody.
    const Listen* in_the_way_of(const Listen& listen) const {
        const auto clashes = [&](const Listen* each) {
            return overlap(each->address, listen.address) && !(each->reuse_port && listen.reuse_port);
        };
        const auto found = std::ranges::find_if(all, clashes);
        if (found != all.end()) return *found;
        if (!is_all(listen.address)) return nullptr;  // however many there are
        const auto covered = std::ranges::find_if(single, clashes);
        return covered != single.end() ? *covered : nullptr;
    }
};

void Validator::listeners() {
    const auto listen = key(root_, "listen");
    if (!listen) return;
    std::map<std::string, Company> places, names;
    std::map<std::uint16_t, Port> ports;
    const auto both_default = [](const Listen& a, const Listen& b) {
        return has_default_name(a) && has_default_name(b);
    };
    for (std::size_t i = 0; i < config_.listen.size() && !reader_.full(); ++i) {
        const Listen& each = config_.listen[i];
        const Value entry = item(*listen, i);
        if (const auto at = place(each.address)) {
            const Value where = key(entry, "address").value_or(entry);
            const auto [company, is_first] = places.try_emplace(*at, &each);
            if (!company->second.welcomes(each, share)) {
                complain(where, quote(each.address.text) + " is listened on already");
                continue;
            }
            Port& port = ports[each.address.port];
            if (const Listen* const other = is_first ? port.in_the_way_of(each) : nullptr)
                complain(where, overlap_complaint(each.address, other->address, pointer_of(*other)));
            if (is_first) (is_all(each.address) ? port.all : port.single).push_back(&each);
        }
        if (!names.try_emplace(each.name, &each).first->second.welcomes(each, both_default))
            complain(key(entry, "name").value_or(entry),
                     "another listener is named " + quote(each.name) + " already");
    }
}

// Where an entry of `listen` stands.
std::string Validator::pointer_of(const Listen& entry) const {
    const auto listen = key(root_, "listen");
    const auto index = static_cast<std::size_t>(&entry - config_.listen.data());
    return listen ? item(*listen, index).pointer : "the default of \"listen\"";
}

// The files, which only somebody else can judge.
void Validator::certificates() {
    const auto listen = key(root_, "listen");
    for (std::size_t i = 0; listen && i < config_.listen.size(); ++i) {
        const auto tls = key(item(*listen, i), "tls");
        const auto& settings = config_.listen[i].tls;
        if (!tls || !settings) continue;
        judge(*tls, "certificate", settings->certificate, judges_.certificate);
        judge(*tls, "key", settings->key, judges_.key, settings->certificate);
        judge(*tls, "client_ca", settings->client_ca, judges_.authorities);
    }
}

void Validator::admin() {
    if (!config_.admin) return;
    const auto admin = key(root_, "admin");
    const auto written = admin ? key(*admin, "address") : std::nullopt;
    const auto all = key(root_, "listen");
    const Address& own = config_.admin->address;
    for (std::size_t i = 0; i < config_.listen.size() && !reader_.full(); ++i) {
        const Listen& listen = config_.listen[i];
        const bool same = same_place(listen.address, own);
        if (!same && !overlap(listen.address, own)) continue;
        const Value entry = all ? item(*all, i) : root_;
        const Value where = written.value_or(key(entry, "address").value_or(entry));
        if (same)
            complain(where, quote(listen.address.text) + R"( is the address of both "listen" and "admin")");
        else if (written)
            complain(where, overlap_complaint(own, listen.address, pointer_of(listen)));
        else
            complain(where, overlap_complaint(listen.address, own, "the default of \"admin\""));
    }
}

void Validator::check() {
    const auto check = key(root_, "check");
    if (!check || !config_.check) return;
    const Address& own = *config_.check;
    const auto compare = [&](const Address& other, bool shared, std::string_view name,
                             const std::string& where) {
        if (same_place(other, own))
            complain(*check, quote(own.text) + " is the address of both " + quote(name) + R"( and "check")");
        else if (overlap(other, own) && !(shared && shares_check(config_)))
            complain(*check, overlap_complaint(own, other, where));
    };
    for (const Listen& listen : config_.listen)
        compare(listen.address, listen.reuse_port, "listen", pointer_of(listen));
    if (config_.admin) compare(config_.admin->address, false, "admin", "\"admin\"");
}

// A socket's path is no name that a certificate could be for.
void Validator::server_names() {
    const auto upstreams = key(root_, "upstreams");
    for (std::size_t i = 0; upstreams && i < upstreams->node.members.size(); ++i) {
        const Value entry = upstreams->entry(upstreams->node.members[i]);
        const Upstream& settings = config_.upstreams[i];
        const auto tls = key(entry, "tls");
        if (!tls || !settings.tls) continue;
        judge(*tls, "ca", settings.tls->ca, judges_.authorities);
        const bool nameless = std::ranges::any_of(
            settings.servers, [](const Server& server) { return !server.address.unix_path.empty(); });
        if (nameless && settings.tls->verify && settings.tls->server_name.empty())
            complain(*tls, R"("server_name" is missing: a Unix socket has no name to verify)");
    }
}

void Validator::upstreams() {
    const auto upstreams = key(root_, "upstreams");
    if (!upstreams || !key(root_, "upstream")) return;
    if (const auto both = key(*upstreams, "default"))
        complain(
            *both,
            R"("default" is the name of the upstream that "upstream" makes; another name, or only one of them)");
}

void Validator::match(const Value& rule, const Match& settings) {
    const auto match = key(rule, "match");
    if (!match) return;
    if (const auto regex = key(*match, "path_regex");
        regex && judges_.expression && !settings.path_regex.empty()) {
        if (const auto wrong = judges_.expression(settings.path_regex))
            complain(*regex, quote(settings.path_regex) + " is not a regular expression (" + *wrong + ")");
    }
    const auto listener = key(*match, "listener");
    if (!listener) return;
    if (listeners_.contains(settings.listener)) return;
    complain(*listener,
             "no listener is named " + quote(settings.listener) + listeners_.suggestion(settings.listener));
}

bool at_segment(std::string_view path, std::string_view prefix) {
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

void Validator::strip_prefix(const Value& route, const Route& settings) {
    const auto strip = key(route, "strip_prefix");
    if (!strip) return;
    const std::string& text = settings.strip_prefix;
    const Match& match = settings.match;
    const bool no_path = !match.path.empty() && !at_segment(match.path, text);
    const bool no_prefix = !match.path_prefix.empty() && !at_segment(match.path_prefix, text) &&
                           !text.starts_with(match.path_prefix);
    if (no_path || no_prefix) {
        complain(*strip, quote(text) + " is in no path that matches (they " +
                             (no_path ? "are " : "begin with ") +
                             quote(no_path ? match.path : match.path_prefix) + ")");
    }
}

void Validator::routes() {
    const auto routes = key(root_, "routes");
    const Names names(config_.upstreams);
    const auto upstreams = key(root_, "upstreams");
    const bool names_are_known = !upstreams || upstreams->node.kind == Node::Kind::object;
    std::optional<std::size_t> everything;
    for (std::size_t i = 0; routes && i < routes->node.items.size() && !reader_.full(); ++i) {
        const Value route = routes->item(i);
        const Route& settings = config_.routes[i];
        if (everything) {
            complain(route, "is never reached: /routes/" + std::to_string(*everything) +
                                " before it matches everything");
            continue;
        }
        match(route, settings.match);
        strip_prefix(route, settings);
        const auto upstream = key(route, "upstream");
        if (upstream && names_are_known && !names.contains(settings.upstream)) {
            complain(*upstream, "no upstream is named " + quote(settings.upstream) +
                                    names.suggestion(settings.upstream));
        }
        if (settings.match == Match{} && !reader_.complained_about(route.pointer)) everything = i;
    }
    // Its own route is behind them.
    const auto shorthand = key(root_, "upstream");
    const bool named = std::any_of(config_.routes.begin(), config_.routes.end() - (shorthand ? 1 : 0),
                                   [](const Route& route) { return route.upstream == "default"; });
    if (shorthand && everything && !named)
        complain(*shorthand,
                 "is never reached: /routes/" + std::to_string(*everything) + " matches everything");
}

void Validator::limits() {
    const auto limits = key(root_, "limits");
    if (!limits || limits->node.kind != Node::Kind::array) return;
    const auto& all = config_.limits;
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < std::min(all.size(), kMaxLimits); ++i) {
        const Value limit = limits->item(i);
        match(limit, all[i].match);
        if (!names.insert(all[i].name).second)
            complain(key(limit, "name").value_or(limit),
                     "another limit is named " + quote(all[i].name) + " already");
    }
    if (all.size() > kMaxLimits)
        complain(limits->item(kMaxLimits),
                 "is one too many (at most " + std::to_string(kMaxLimits) + " limits)");
}

void Validator::whether_anything_is_served() {
    if (key(root_, "upstream")) return;
    const auto routes = key(root_, "routes");
    if (routes && !routes->node.items.empty()) return;
    if (routes) {
        complain(*routes, R"(no route, and no "upstream": nothing would be served)");
    } else if (const auto upstreams = key(root_, "upstreams")) {
        const auto& all = config_.upstreams;
        const std::string name = quote(all.empty() ? "app" : all[0].name);
        complain(*upstreams, "no route leads here (such as \"routes\": [ { \"upstream\": " + name + " } ])");
    } else {
        complain(root_, R"("upstream" is missing (such as "upstream": "127.0.0.1:3000"))");
    }
}

}  // namespace

void validate(Reader& reader, const Value& root, const Config& config, const Judges& judges) {
    Validator validator(reader, root, config, judges);
    validator.listeners();
    validator.certificates();
    validator.admin();
    validator.check();
    validator.server_names();
    validator.upstreams();
    validator.routes();
    validator.limits();
    validator.whether_anything_is_served();
}

}  // namespace sluice::config
