#pragma once

// A JSON text as a tree that remembers where everything stands.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

struct Member;

/// A value of the text.
struct Node {
    enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

    Kind kind = Kind::null;
    std::size_t offset = 0;         // of its first byte
    std::string text;               // a string's content; of a number or literal what is written
    std::vector<Node> items;        // of an array
    std::vector<Member> members;    // of an object, as written: keys may be there twice
    bool from_environment = false;  // a string that held ${...}
    bool failed = false;            // a ${...} in it was an error, reported already
};

struct Member {
    std::string key;
    std::size_t offset = 0;  // of the key
    Node value;
    bool failed = false;  // the key is an error, reported already
};

/// "a string", "an object", …
std::string_view article_and_name(Node::Kind kind);

struct SyntaxError {
    std::size_t offset;
    std::string message;
};

/// parse_document() reads one JSON value with comments. The text has been seen to be UTF-8 without NUL; a
/// byte order mark before it is an error.
std::expected<Node, SyntaxError> parse_document(std::string_view text, unsigned max_depth);

}  // namespace sluice::config
