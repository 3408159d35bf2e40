#pragma once

// Reading a tree of JSON into values, with every mistake noted where it stands.
//
// How a section of the model is read:
//
//     void read(Reader& reader, const Value& value, Clients& clients) {
//         Object object(reader, value);
//         object.field("max", clients.max, between(1, 100'000'000));
//         object.field("idle_after", clients.idle_after);
//         object.field("sweep_every", clients.sweep_every);
//     }
//
// field() leaves the default when the key is not there. When the object ends, keys that nobody asked for are
// errors, with the nearest of those that were. A value that was an error once is not complained about again.

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/document.h"
#include "config/error.h"
#include "config/model.h"
#include "config/names.h"

namespace sluice::config {

/// A value that is being read, and where.
struct Value {
    const Node& node;
    std::string pointer;  // /limits/0/key
    std::string pattern;  // the same with * for indexes and for names that the user chose: /limits/*/key

    Value item(std::size_t index) const;
    Value member(const Member& member) const;  // of an object whose keys the schema names
    Value entry(const Member& member) const;   // of an object whose keys the user chose
};

/// A key as a part of a pointer (RFC 6901).
std::string pointer_part(std::string_view key);

/// What one value must be beyond its type: the complaint, or nothing.
template <class T>
using Check = std::function<std::optional<std::string>(const T&)>;

class Reader {
  public:
    Reader(std::string file, std::string_view text) : file_(std::move(file)), text_(text) {}

    void complain(const Value& value, std::string message) {
        complain(value.node.offset, value.pointer, std::move(message));
    }
    void complain(std::size_t offset, const std::string& pointer, std::string message);

    /// After so many errors the rest is not shown.
    static constexpr std::size_t kMost = 100;
    bool full() const { return notes_.size() > kMost; }

    /// Whether there is an error at `pointer`, inside it, or at what it is inside of. True once full().
    bool complained_about(std::string_view pointer) const;

    /// The errors so far in the order of the text.
    Errors take();

    /// Every key that was looked for, by the pattern of its object: what this parser knows.
    const std::map<std::string, std::set<std::string>>& known_keys() const { return known_keys_; }
    void note_key(const std::string& pattern, std::string_view key) { known_keys_[pattern].emplace(key); }

  private:
    struct Note {
        std::size_t offset;
        std::string pointer;
        std::string message;
    };

    const std::string file_;
    const std::string_view text_;
    std::vector<Note> notes_;  // in the order of the text
    std::map<std::string, std::set<std::string>> known_keys_;
};

/// True when `value` is of `kind`; complains when it is not (`expected` says what would be right).
bool is(Reader& reader, const Value& value, Node::Kind kind, std::string_view expected = {});

// Each complains when the value is wrong, and leaves in `out` whatever it pleases then: a configuration with
// errors is never used.
void read(Reader& reader, const Value& value, std::string& out);
void read(Reader& reader, const Value& value, bool& out);
void read(Reader& reader, const Value& value, std::uint64_t& out);
void read(Reader& reader, const Value& value, unsigned& out);
void read(Reader& reader, const Value& value, Duration& out);
void read(Reader& reader, const Value& value, Rate& out);
void read(Reader& reader, const Value& value, Cidr& out);
/// Bytes as an integer, or a text with a unit.
void read_size(Reader& reader, const Value& value, std::uint64_t& out);
/// The same, or "unlimited".
void read_size_or_unlimited(Reader& reader, const Value& value, std::uint64_t& out);
/// An object of strings, in the order of the text.
void read_pairs(Reader& reader, const Value& value, std::vector<std::pair<std::string, std::string>>& out);

/// Complains that `word` is none of `known`.
void complain_about_choice(Reader& reader, const Value& value, std::span<const std::string_view> known);

template <class Choice>
    requires std::is_enum_v<Choice>
void read(Reader& reader, const Value& value, Choice& out) {
    if (!is(reader, value, Node::Kind::string)) return;
    for (std::size_t i = 0; i < kNames<Choice>.size(); ++i) {
        if (value.node.text == kNames<Choice>[i]) {
            out = static_cast<Choice>(i);
            return;
        }
    }
    complain_about_choice(reader, value, kNames<Choice>);
}

template <class T>
void read(Reader& reader, const Value& value, std::vector<T>& out) {
    if (!is(reader, value, Node::Kind::array)) return;
    out.clear();
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
        // Also when it fails: positions in the model are positions in the text.
        read(reader, value.item(i), out.emplace_back());
    }
}

template <class T>
void read(Reader& reader, const Value& value, std::optional<T>& out) {
    read(reader, value, out.emplace());
}

/// The keys of a section, whether the file has it or not.
template <class Section>
std::set<std::string> keys_of() {
    Node nothing;
    nothing.kind = Node::Kind::object;
    Reader reader("", "");
    Section section;
    read(reader, Value{nothing, "", ""}, section);
    const auto found = reader.known_keys().find("");
    return found == reader.known_keys().end() ? std::set<std::string>{} : found->second;
}

/// The keys of one object. Complains in its destructor.
class Object {
  public:
    Object(Reader& reader, Value value);
    /// Complains about the keys that nobody has asked for, unless an exception has kept somebody from asking.
    /// Throws std::bad_alloc.
    ~Object() noexcept(false);
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    /// Reads the key, when it is there, by `how(reader, value)`. True when it is there.
    template <class How>
    bool with(std::string_view key, How how) {
        const Member* const member = find(key);
        if (!member) return false;
        const Value value = value_.member(*member);
        if (!member->value.failed) how(reader_, value);
        finish(value);
        return true;
    }

    /// Where T is a section, a key of it that stands here by mistake is told to belong there.
    template <class T>
    bool field(std::string_view key, T& out, const Check<std::type_identity_t<T>>& check = {}) {
        if constexpr (std::is_aggregate_v<T>) sections_.push_back({key, keys_of<T>});
        return with(key, [&](Reader& reader, const Value& value) {
            read(reader, value, out);
            if (!check || reader.complained_about(value.pointer)) return;
            if (const auto wrong = check(out)) reader.complain(value, *wrong);
        });
    }

    /// The same for a size.
    bool size(std::string_view key, std::uint64_t& out, const Check<std::uint64_t>& check);

    /// Complains when the key is not there.
    void require(std::string_view key, std::string_view example);
    /// Complains when the key is there: `why` says what it does not go with.
    void refuse(std::string_view key, std::string_view why);

    bool has(std::string_view key) const { return member(key) != nullptr; }
    /// The value of a key, wherever it is read; nothing when it is not there.
    std::optional<Value> peek(std::string_view key) const;
    /// Whether nothing was wrong with the key, which need not be there.
    bool good(std::string_view key) const;
    const Value& value() const { return value_; }

  private:
    const Member* member(std::string_view key) const;
    const Member* find(std::string_view key);
    void finish(const Value& value);
    std::string instead_of(std::string_view key) const;

    struct Section {
        std::string_view key;
        std::set<std::string> (*keys)();
    };

    Reader& reader_;
    const Value value_;
    const bool is_object_;
    const int unwinding_ = std::uncaught_exceptions();
    std::vector<std::string_view> asked_;
    std::vector<Section> sections_;  // among them
};

/// Checks of what a number may be.
Check<std::uint64_t> between(std::uint64_t least, std::uint64_t most);
Check<std::uint64_t> bytes_between(std::uint64_t least, std::uint64_t most);

/// Complains about keys that are there twice.
void refuse_duplicates(Reader& reader, const Value& value);

}  // namespace sluice::config
