// How single values are read: see reader.h.

#include <algorithm>
#include <charconv>

#include "config/cidr.h"
#include "config/duration.h"
#include "config/quote.h"
#include "config/rate.h"
#include "config/reader.h"
#include "config/size.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

// "30" is a number where it came from the environment, which knows only text.
bool is_written_number(const Node& node) {
    return node.kind == Node::Kind::number || node.from_environment;
}

template <class T, class Parse>
void read_text(Reader& reader, const Value& value, T& out, Parse parse, std::string_view expected) {
    if (!is(reader, value, Node::Kind::string, expected)) return;
    if (auto parsed = parse(value.node.text)) {
        out = *std::move(parsed);
    } else {
        reader.complain(value, parsed.error());
    }
}

}  // namespace

bool is(Reader& reader, const Value& value, Node::Kind kind, std::string_view expected) {
    if (value.node.failed) return false;
    if (value.node.kind == kind) return true;
    const std::string_view right = expected.empty() ? article_and_name(kind) : expected;
    reader.complain(
        value, "must be " + std::string(right) + ", not " + std::string(article_and_name(value.node.kind)));
    return false;
}

void complain_about_choice(Reader& reader, const Value& value, std::span<const std::string_view> known) {
    reader.complain(
        value, quote(value.node.text) + " is not " + one_of(known) + did_you_mean(value.node.text, known));
}

void read(Reader& reader, const Value& value, std::string& out) {
    if (is(reader, value, Node::Kind::string)) out = value.node.text;
}

void read(Reader& reader, const Value& value, bool& out) {
    const bool word =
        value.node.from_environment && (value.node.text == "true" || value.node.text == "false");
    if (word || is(reader, value, Node::Kind::boolean)) out = value.node.text == "true";
}

void read(Reader& reader, const Value& value, std::uint64_t& out) {
    if (value.node.failed) return;
    if (!is_written_number(value.node) && !is(reader, value, Node::Kind::number, "a whole number")) return;
    const std::string& text = value.node.text;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error == std::errc::result_out_of_range) {
        reader.complain(value, text + " is too large");
    } else if (text.starts_with('-')) {
        reader.complain(value, text + " is negative");
    } else if (error != std::errc{} || end != text.data() + text.size()) {
        reader.complain(value, quote(text) + " is not a whole number");
    }
}

void read(Reader& reader, const Value& value, unsigned& out) {
    std::uint64_t wide = out;
    read(reader, value, wide);
    if (wide > std::numeric_limits<unsigned>::max()) {
        if (!reader.complained_about(value.pointer))
            reader.complain(value, std::to_string(wide) + " is too large");
        return;
    }
    out = static_cast<unsigned>(wide);
}

void read(Reader& reader, const Value& value, Duration& out) {
    read_text(reader, value, out, parse_duration, "a duration, a string such as \"10s\" or \"250ms\"");
}

void read(Reader& reader, const Value& value, Rate& out) {
    read_text(reader, value, out, parse_rate, "a rate, a string such as \"10/s\"");
}

void read(Reader& reader, const Value& value, Cidr& out) {
    read_text(reader, value, out, parse_cidr, "an address block, a string such as \"10.0.0.0/8\"");
}

void read_size(Reader& reader, const Value& value, std::uint64_t& out) {
    const std::string& text = value.node.text;
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (value.node.kind == Node::Kind::number || (value.node.from_environment && digits)) {
        read(reader, value, out);
    } else {
        read_text(reader, value, out, parse_size, "a size, bytes or a string such as \"64KiB\"");
    }
}

void read_size_or_unlimited(Reader& reader, const Value& value, std::uint64_t& out) {
    if (value.node.kind == Node::Kind::string && value.node.text == "unlimited") {
        out = kUnlimited;
        return;
    }
    read_size(reader, value, out);
    const bool overflowed = out == kUnlimited && !reader.complained_about(value.pointer);
    if (overflowed) reader.complain(value, value.node.text + " is too large (\"unlimited\" for no limit)");
}

void read_pairs(Reader& reader, const Value& value, std::vector<std::pair<std::string, std::string>>& out) {
    if (!is(reader, value, Node::Kind::object)) return;
    refuse_duplicates(reader, value);
    out.clear();
    for (const Member& member : value.node.members) {
        read(reader, value.entry(member), out.emplace_back(member.key, "").second);
    }
}

bool Object::size(std::string_view key, std::uint64_t& out, const Check<std::uint64_t>& check) {
    return with(key, [&](Reader& reader, const Value& value) {
        read_size(reader, value, out);
        if (reader.complained_about(value.pointer)) return;
        if (const auto wrong = check(out)) reader.complain(value, *wrong);
    });
}

Check<std::uint64_t> between(std::uint64_t least, std::uint64_t most) {
    return [=](std::uint64_t number) -> std::optional<std::string> {
        if (number >= least && number <= most) return std::nullopt;
        return std::to_string(number) + " is not between " + std::to_string(least) + " and " +
               std::to_string(most);
    };
}

Check<std::uint64_t> bytes_between(std::uint64_t least, std::uint64_t most) {
    return [=](std::uint64_t bytes) -> std::optional<std::string> {
        if (bytes >= least && bytes <= most) return std::nullopt;
        return size_text(bytes) + " is not between " + size_text(least) + " and " + size_text(most);
    };
}

}  // namespace sluice::config
