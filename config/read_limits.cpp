// Who may ask how often: see sections.h.

#include <algorithm>
#include <limits>

#include "config/checks.h"
#include "config/quote.h"
#include "config/sections.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

// What the limiter's arithmetic takes: see service/limit/gcra.h. The longest fill is 2^62 ns.
constexpr std::uint64_t kMaxCount = std::numeric_limits<std::uint32_t>::max();
constexpr auto kLongestFill = std::uint64_t{1} << 62;
constexpr std::uint64_t kMaxCost = 1'000'000'000;

Complaint wrong_count(const Rate& rate) {
    if (rate.count <= kMaxCount) return std::nullopt;
    return quote(rate.text) + " counts further than " + std::to_string(kMaxCount) +
           " (the same rate in a smaller unit will do)";
}

__extension__ using Wide = unsigned __int128;

bool fills_in_time(const Rate& rate, std::uint64_t burst) {
    const auto depth = static_cast<Wide>(burst) * static_cast<std::uint64_t>(rate.per.count());
    return depth / rate.count < kLongestFill;
}

// What follows the colon.
bool is_key_name(const KeyPart& part) {
    if (part.kind != KeyKind::query) return is_token(part.name);
    return !part.name.empty() && part.name.find_first_of("&=# ") == std::string::npos;
}

bool has_name(KeyKind kind) {
    return kind == KeyKind::header || kind == KeyKind::cookie || kind == KeyKind::query;
}

void read_key(Reader& reader, const Value& value, std::vector<KeyPart>& out) {
    out.clear();
    if (value.node.kind != Node::Kind::array) {
        read(reader, value, out.emplace_back());
        return;
    }
    read(reader, value, out);
    if (out.empty()) reader.complain(value, "a key of nothing (\"global\" counts all requests together)");
    for (std::size_t i = 0; i < out.size(); ++i) {
        const Value item = value.item(i);
        const auto here = out.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(out.begin(), here, *here) != here && !reader.complained_about(item.pointer))
            reader.complain(item, quote(to_string(out[i])) + " is in the key already");
    }
}

void read_by_method(Reader& reader, const Value& value, std::map<std::string, std::uint64_t>& out) {
    if (!is(reader, value, Node::Kind::object, "an object of methods and costs, such as { \"POST\": 5 }"))
        return;
    refuse_duplicates(reader, value);
    for (const Member& member : value.node.members) {
        const Value entry = value.entry(member);
        std::uint64_t& cost = out[member.key];
        read(reader, entry, cost);
        if (reader.complained_about(entry.pointer)) continue;
        if (const auto wrong = wrong_method(member.key))
            reader.complain(member.offset, entry.pointer, *wrong);
        else if (const auto bad = between(0, kMaxCost)(cost))
            reader.complain(entry, *bad);
    }
    if (value.node.members.empty()) reader.complain(value, "is empty (such as { \"POST\": 5 })");
}

void read(Reader& reader, const Value& value, Ban& out) {
    out = {10, 1min, 15min};
    Object object(reader, value);
    object.field("after", out.after, between(1, 1'000'000));
    object.field("within", out.within);
    object.field("for", out.duration);
}

// What goes with one algorithm or action alone is not silently left aside by the others, unless it says what
// is so in any case.
void refuse_what_does_not_apply(Object& object, const Limit& limit) {
    if (object.good("algorithm")) {
        const bool bucket = limit.algorithm == Algorithm::token_bucket;
        const bool concurrency = limit.algorithm == Algorithm::concurrency;
        const std::string_view never = "does not go with the algorithm \"concurrency\", which has \"max\"";
        if (concurrency) object.refuse("rate", never);
        if (concurrency) object.refuse("burst", never);
        const bool whole_window = object.good("rate") && limit.burst == limit.rate.count;
        if (!bucket && !concurrency && !whole_window)
            object.refuse("burst", "goes with the algorithm \"token_bucket\" alone");
        if (!concurrency)
            object.refuse("max", "goes with the algorithm \"concurrency\" alone; did you mean \"burst\"?");
    }
    if (object.good("action") && limit.action != Action::delay && limit.max_delay != Limit::kMaxDelay)
        object.refuse("max_delay", "goes with the action \"delay\" alone");
    if (!object.good("key") || !object.good("missing")) return;

    const auto& key = limit.key;
    const bool named =
        std::any_of(key.begin(), key.end(), [](const KeyPart& part) { return has_name(part.kind); });
    const bool skips = limit.missing == Missing::skip;
    if (skips && !named)
        object.refuse("missing",
                      "is \"skip\", and the key has no header, cookie or query that could be missing");
    const bool address = (named && !skips) || std::find(key.begin(), key.end(), KeyPart{}) != key.end();
    if (address) return;
    for (const std::string_view prefix : {"ipv4_prefix", "ipv6_prefix"})
        object.refuse(prefix, "means nothing to a key without \"ip\"");
}

// What costs more than the limit ever has is never admitted. `quota`: how much that is, `says`: what says so.
void check_costs(Reader& reader, const Value& cost, const Limit& limit, std::uint64_t quota,
                 const std::string& says) {
    const auto check = [&](const Value& value, std::uint64_t amount) {
        if (amount <= quota) return;
        reader.complain(value, "a cost of " + std::to_string(amount) + " is never admitted (" + says + " " +
                                   std::to_string(quota) + ")");
    };
    if (cost.node.kind != Node::Kind::object) check(cost, limit.cost.fixed);
    for (const Member& form : cost.node.members) {
        const Value value = cost.member(form);
        if (form.key == "default") check(value, limit.cost.fixed);
        if (form.key != "by_method") continue;
        for (const Member& method : form.value.members)
            check(value.entry(method), limit.cost.by_method.at(method.key));
    }
}

void check_bucket(Reader& reader, const Object& object, const Limit& limit) {
    if (!object.good("rate") || !object.good("burst") || limit.rate.count == 0) return;
    if (!fills_in_time(limit.rate, limit.burst)) {
        reader.complain(*object.peek(object.has("burst") ? "burst" : "rate"),
                        "an empty bucket of " + std::to_string(limit.burst) +
                            " would take more than 146 years to fill at " + quote(limit.rate.text));
    } else if (object.has("cost") && object.good("cost")) {
        check_costs(reader, *object.peek("cost"), limit, limit.burst, "\"burst\" is");
    }
}

// See service/limit/window.h: what the window before had counted is kept in nanoseconds.
void check_window(Reader& reader, const Object& object, const Limit& limit) {
    if (!object.good("rate") || limit.rate.count == 0) return;
    const bool sliding = limit.algorithm == Algorithm::sliding_window;
    if (sliding && limit.rate.count >= static_cast<std::uint64_t>(limit.rate.per.count())) {
        reader.complain(*object.peek("rate"), quote(limit.rate.text) +
                                                  " is one each nanosecond, and a sliding window counts less "
                                                  "than that (\"fixed_window\" takes it)");
    } else if (object.has("cost") && object.good("cost")) {
        check_costs(reader, *object.peek("cost"), limit, limit.rate.count, "\"rate\" counts");
    }
}

void check_concurrency(Reader& reader, const Object& object, const Limit& limit) {
    if (!object.good("max") || limit.max == 0 || !object.has("cost") || !object.good("cost")) return;
    check_costs(reader, *object.peek("cost"), limit, limit.max, "\"max\" is");
}

void check_algorithm(Reader& reader, const Object& object, const Limit& limit) {
    switch (limit.algorithm) {
        case Algorithm::token_bucket: return check_bucket(reader, object, limit);
        case Algorithm::fixed_window:
        case Algorithm::sliding_window: return check_window(reader, object, limit);
        case Algorithm::concurrency: return check_concurrency(reader, object, limit);
    }
}

void read_prefix(Reader& reader, const Value& value, std::optional<unsigned>& out, unsigned most) {
    read(reader, value, out);
    if (reader.complained_about(value.pointer)) return;
    if (const auto wrong = between(1, most)(*out)) reader.complain(value, *wrong);
}

}  // namespace

void read(Reader& reader, const Value& value, KeyPart& out) {
    if (!is(reader, value, Node::Kind::string, "a string such as \"ip\" or \"header:X-Api-Key\"")) return;
    const std::string& text = value.node.text;
    const auto colon = text.find(':');
    const std::string_view word = std::string_view(text).substr(0, colon);
    const auto& names = kNames<KeyKind>;
    const auto found = std::find(names.begin(), names.end(), word);
    if (found == names.end()) {
        const auto near = nearest(word, names);
        const std::string guess = near ? std::string(*near) + text.substr(word.size()) : "";
        reader.complain(
            value, quote(text) +
                       " is not a key (ip, global, host, method, path, route, header:NAME, cookie:NAME or "
                       "query:NAME" +
                       (near ? "; did you mean " + quote(guess) + "?)" : ")"));
        return;
    }
    out.kind = static_cast<KeyKind>(found - names.begin());
    out.name = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (!has_name(out.kind)) {
        if (colon != std::string::npos)
            reader.complain(value, quote(text) + ": " + quote(word) + " takes no name");
    } else if (!is_key_name(out)) {
        reader.complain(
            value, quote(text) + " does not name the " + std::string(word) + " (such as " +
                       quote(std::string(word) + (out.kind == KeyKind::header ? ":X-Api-Key" : ":id")) + ")");
    }
}

void read(Reader& reader, const Value& value, Cost& out) {
    const auto amount = between(1, kMaxCost);
    if (value.node.kind != Node::Kind::object) {
        constexpr std::string_view forms =
            R"(a whole number, { "header": "X-Cost" } or { "by_method": { "POST": 5 } })";
        if (!value.node.from_environment && !is(reader, value, Node::Kind::number, forms)) return;
        read(reader, value, out.fixed);
        if (reader.complained_about(value.pointer)) return;
        if (const auto wrong = amount(out.fixed)) reader.complain(value, *wrong);
        return;
    }
    Object object(reader, value);
    object.field("header", out.header, wrong_field_name);
    object.field("default", out.fixed, between(0, kMaxCost));
    object.field("max", out.max, amount);
    object.with("by_method", [&](Reader& r, const Value& v) { read_by_method(r, v, out.by_method); });
    if (object.has("by_method")) {
        for (const std::string_view key : {"header", "default", "max"})
            object.refuse(key, "does not go with \"by_method\"");
    } else if (!object.has("header") && !reader.complained_about(value.pointer)) {
        reader.complain(value, R"("header" or "by_method" is missing (such as "header": "X-Cost"))");
    }
}

void read(Reader& reader, const Value& value, Limit& out) {
    Object object(reader, value);
    object.field("name", out.name, wrong_name);
    object.field("match", out.match);
    object.with("ipv4_prefix", [&](Reader& r, const Value& v) { read_prefix(r, v, out.ipv4_prefix, 32); });
    object.with("ipv6_prefix", [&](Reader& r, const Value& v) { read_prefix(r, v, out.ipv6_prefix, 128); });
    object.with("key", [&](Reader& r, const Value& v) { read_key(r, v, out.key); });
    object.field("missing", out.missing);
    object.field("algorithm", out.algorithm);
    object.field("rate", out.rate, wrong_count);
    object.field("burst", out.burst, between(1, std::numeric_limits<std::int64_t>::max()));
    object.field("max", out.max, between(1, 1'000'000'000));
    object.field("cost", out.cost);
    object.field("mode", out.mode);
    object.field("action", out.action);
    object.field("max_delay", out.max_delay);
    object.field("status", out.status, between(400, 599));
    object.with("ban", [&](Reader& r, const Value& v) { read(r, v, out.ban); });

    if (!object.has("burst") && out.algorithm == Algorithm::token_bucket) out.burst = out.rate.count;
    refuse_what_does_not_apply(object, out);
    if (out.algorithm != Algorithm::token_bucket) out.burst = 0;
    check_algorithm(reader, object, out);
    if (!object.good("algorithm")) return;
    if (out.algorithm == Algorithm::concurrency)
        object.require("max", "8");
    else
        object.require("rate", "\"10/s\"");
}

}  // namespace sluice::config
