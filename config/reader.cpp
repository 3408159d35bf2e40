#include "config/reader.h"

#include <algorithm>
#include <exception>

#include "config/duration.h"
#include "config/quote.h"
#include "config/suggest.h"
#include "config/supported.h"
#include "config/text.h"

namespace sluice::config {
namespace {

// The nearest key, or all of them where they are few.
std::string suggestion(std::string_view key, std::span<const std::string_view> known) {
    constexpr std::size_t few = 8;
    const std::string near = did_you_mean(key, known);
    return near.empty() && known.size() <= few ? " (" + one_of(known) + ")" : near;
}

bool is_inside(std::string_view pointer, std::string_view of) {
    return pointer.starts_with(of) && (pointer.size() == of.size() || pointer[of.size()] == '/');
}

}  // namespace

std::string pointer_part(std::string_view key) {
    std::string out;
    for (const char c : key) {
        if (c == '~') {
            out += "~0";
        } else if (c == '/') {
            out += "~1";
        } else {
            out += c;
        }
    }
    return out;
}

Value Value::item(std::size_t index) const {
    return {node.items[index], pointer + "/" + std::to_string(index), pattern + "/*"};
}

Value Value::member(const Member& member) const {
    return {member.value, pointer + "/" + pointer_part(member.key), pattern + "/" + member.key};
}

Value Value::entry(const Member& member) const {
    return {member.value, pointer + "/" + pointer_part(member.key), pattern + "/*"};
}

void Reader::complain(std::size_t offset, const std::string& pointer, std::string message) {
    if (full()) return;
    Note note{offset, pointer, std::move(message)};
    if (notes_.size() == kMost) note = {text_.size(), "", "more errors than these"};
    const auto after = std::ranges::upper_bound(notes_, note.offset, {}, &Note::offset);
    notes_.insert(after, std::move(note));
}

bool Reader::complained_about(std::string_view pointer) const {
    return full() || std::any_of(notes_.begin(), notes_.end(), [&](const Note& note) {
               return is_inside(note.pointer, pointer) || is_inside(pointer, note.pointer);
           });
}

Errors Reader::take() {
    Errors errors;
    for (Note& note : notes_) {
        const Place place = place_of(text_, note.offset);
        errors.push_back({file_, place.line, place.column, std::move(note.pointer), std::move(note.message)});
    }
    notes_.clear();
    return errors;
}

Object::Object(Reader& reader, Value value)
    : reader_(reader), value_(std::move(value)), is_object_(is(reader_, value_, Node::Kind::object)) {
    if (is_object_) refuse_duplicates(reader_, value_);
}

Object::~Object() noexcept(false) {
    if (!is_object_ || std::uncaught_exceptions() > unwinding_) return;
    for (const Member& member : value_.node.members) {
        const bool known = std::find(asked_.begin(), asked_.end(), member.key) != asked_.end();
        if (known || member.failed || reader_.full()) continue;
        reader_.complain(member.offset, value_.member(member).pointer,
                         "unknown key " + quote(member.key) + instead_of(member.key));
    }
}

// What is right in the place of an unknown key.
std::string Object::instead_of(std::string_view key) const {
    std::vector<std::string_view> homes;
    for (const Section& section : sections_)
        if (section.keys().contains(std::string(key))) homes.push_back(section.key);
    return homes.empty() ? suggestion(key, asked_) : "; it belongs into " + one_of(homes);
}

const Member* Object::member(std::string_view key) const {
    const auto& members = value_.node.members;
    const auto found =
        std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
    return found == members.end() ? nullptr : &*found;
}

const Member* Object::find(std::string_view key) {
    asked_.push_back(key);
    reader_.note_key(value_.pattern, key);
    return member(key);
}

std::optional<Value> Object::peek(std::string_view key) const {
    const Member* const found = member(key);
    return found ? std::optional<Value>(value_.member(*found)) : std::nullopt;
}

bool Object::good(std::string_view key) const {
    const Member* const found = member(key);
    return !found || !(found->value.failed || reader_.complained_about(value_.member(*found).pointer));
}

void Object::finish(const Value& value) {
    if (value.node.failed || reader_.complained_about(value.pointer)) return;
    if (auto why = not_supported(value.pattern, value.node)) reader_.complain(value, *std::move(why));
}

void Object::require(std::string_view key, std::string_view example) {
    if (!is_object_ || has(key)) return;
    reader_.complain(value_, quote(key) + " is missing (such as \"" + std::string(key) +
                                 "\": " + std::string(example) + ")");
}

void Object::refuse(std::string_view key, std::string_view why) {
    for (const Member& member : value_.node.members) {
        const Value value = value_.member(member);
        if (member.key != key || reader_.complained_about(value.pointer)) continue;
        reader_.complain(member.offset, value.pointer, quote(key) + " " + std::string(why));
    }
}

void refuse_duplicates(Reader& reader, const Value& value) {
    std::set<std::string_view> seen;
    for (const Member& member : value.node.members) {
        if (seen.insert(member.key).second) continue;
        reader.complain(member.offset, value.member(member).pointer,
                        "the key " + quote(member.key) + " is there twice");
    }
}

}  // namespace sluice::config
