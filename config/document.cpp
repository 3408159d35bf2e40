#include "config/document.h"

#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/text.h"

namespace sluice::config {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kUnclosed = "a comment that is never closed";

// nlohmann::json judges the syntax and unescapes strings, but its events come without a place. Each event is
// caused by a token that it has just accepted, in the order of the text: walking the same text token by token
// beside it, past the commas and colons that cause no event, gives the place of each, whatever the parser has
// read ahead. Should the two ever disagree about where a token is, each value would stand for its neighbour:
// every event looks at its token, and refuses the text where that is none of its kind.
class Builder : public Json::json_sax_t {
  public:
    Builder(std::string_view text, unsigned max_depth) : text_(text), max_depth_(max_depth) {}

    Node take() { return std::move(root_); }
    const std::optional<SyntaxError>& error() const { return error_; }

    bool null() override { return leaf(Node::Kind::null, "n"); }
    bool boolean(bool value) override { return leaf(Node::Kind::boolean, value ? "t" : "f"); }
    bool number_integer(std::int64_t) override { return leaf(Node::Kind::number, kNumber); }
    bool number_unsigned(std::uint64_t) override { return leaf(Node::Kind::number, kNumber); }
    bool number_float(double, const std::string&) override { return leaf(Node::Kind::number, kNumber); }
    bool string(std::string& content) override {
        if (!leaf(Node::Kind::string, "\"")) return false;
        last_->text = std::move(content);
        return true;
    }
    bool binary(binary_t&) override { return false; }  // JSON has none

    bool start_object(std::size_t) override { return open(Node::Kind::object, "{"); }
    bool start_array(std::size_t) override { return open(Node::Kind::array, "["); }
    bool end_object() override { return close("}"); }
    bool end_array() override { return close("]"); }

    bool key(std::string& name) override {
        const Token token = advance();
        if (!begins(token, "\"")) return false;
        open_.back()->members.push_back({.key = std::move(name), .offset = token.begin, .value = {}});
        return true;
    }

    // `position` counts the bytes that the parser has read, the end of the text as one.
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception& e) override {
        const std::string_view what = e.what();
        const bool unexpected = what.find("unexpected") != std::string_view::npos;
        if (position > 0 && cursor_ >= position) {  // "01" and "true1": to the walker one word, good so far
            error_ = SyntaxError{position - 1, message(what) + zero_hint(position - 1)};
            return false;
        }
        if (message(what).ends_with("missing closing '*/'")) {
            error_ = SyntaxError{begin_of_last_comment(), std::string(kUnclosed)};
            return false;
        }
        std::size_t previous = cursor_;
        Token token = next_token(text_, cursor_);
        while (token.end < position && token.begin < token.end) {
            // "tru}": the parser has read the brace to find out that the word before it is none.
            if (!unexpected && token.end == position - 1 && is_word(token)) break;
            previous = token.begin;
            token = next_token(text_, token.end);
        }
        // Inside a string it is the character that matters, else the whole token.
        const bool inside = !unexpected && token.begin < text_.size() && text_[token.begin] == '"';
        const std::size_t offset = inside ? std::min(position - 1, text_.size()) : token.begin;
        error_ = SyntaxError{offset, message(what) + hint(what, previous, token)};
        return false;
    }

    // Whether nothing is left behind the last event.
    bool at_end() {
        const Token token = next_token(text_, cursor_);
        return token.begin == text_.size() || disagree(token);
    }

  private:
    // REQUIRES: it is never closed.
    std::size_t begin_of_last_comment() const {
        std::size_t at = cursor_;
        for (Token token = next_token(text_, at); token.begin < token.end; token = next_token(text_, at))
            at = token.end;
        return unclosed_comment(text_, at).value_or(text_.size());
    }

    static constexpr std::string_view kNumber = "-0123456789";

    // The next token that is an event.
    Token advance() {
        Token token = next_token(text_, cursor_);
        while (token.begin < text_.size() && (text_[token.begin] == ',' || text_[token.begin] == ':')) {
            token = next_token(text_, token.end);
        }
        cursor_ = token.end;
        return token;
    }

    bool is_word(Token token) const {
        return std::string_view("{}[]:,\"").find(text_[token.begin]) == std::string_view::npos;
    }

    bool begins(Token token, std::string_view with_one_of) {
        const bool right = token.begin < text_.size() && with_one_of.contains(text_[token.begin]);
        return right || disagree(token);
    }

    bool disagree(Token token) {
        error_ = SyntaxError{token.begin, "this can be read in two ways, which is a bug of Sluice"};
        return false;
    }

    Node& place() {
        if (open_.empty()) return root_;
        Node& parent = *open_.back();
        return parent.kind == Node::Kind::array ? parent.items.emplace_back() : parent.members.back().value;
    }

    bool leaf(Node::Kind kind, std::string_view first) {
        const Token token = advance();
        if (!begins(token, first)) return false;
        last_ = &place();
        last_->kind = kind;
        last_->offset = token.begin;
        last_->text = text_.substr(token.begin, token.end - token.begin);
        return true;
    }

    // The pointers in open_ stay good: a vector grows only while it is the innermost.
    bool open(Node::Kind kind, std::string_view first) {
        if (!leaf(kind, first)) return false;
        last_->text.clear();
        open_.push_back(last_);
        if (open_.size() <= max_depth_) return true;
        error_ = SyntaxError{last_->offset, "nested deeper than " + std::to_string(max_depth_) + " levels"};
        return false;
    }

    bool close(std::string_view first) {
        if (!begins(advance(), first)) return false;
        open_.pop_back();
        return true;
    }

    // Of "[json.exception.parse_error.101] parse error at …: syntax error while parsing value - WHAT; last
    // read: …".
    static std::string message(std::string_view what) {
        if (const auto dash = what.find(" - "); dash != std::string_view::npos) what.remove_prefix(dash + 3);
        if (const auto bracket = what.find("] ");
            what.starts_with("[json.") && bracket != std::string_view::npos) {
            what.remove_prefix(bracket + 2);
        }
        return "not valid JSON: " + std::string(what.substr(0, what.find("; last read:")));
    }

    char first_of_token(std::size_t at) const {
        const std::size_t begin = next_token(text_, at).begin;
        return begin < text_.size() ? text_[begin] : '\0';
    }

    std::string hint(std::string_view what, std::size_t previous, Token token) const {
        const char before = first_of_token(previous);
        const char here = first_of_token(token.begin);
        if (before == ',' && (here == '}' || here == ']')) return " (the comma before it is one too many)";
        if (here == '\'') return " (strings are in double quotes)";
        if (here == '#') return " (comments are // and /* */)";
        const bool first = next_token(text_, 0).begin == next_token(text_, token.begin).begin;
        if (first && here != '{' && here != '[') return " (the file is one object: { … })";
        const bool next = what.ends_with("expected '}'") || what.ends_with("expected ']'");
        if (next && here && std::string_view("}]:").find(here) == std::string_view::npos)
            return ", or a comma before it";
        return {};
    }

    std::string zero_hint(std::size_t at) const {
        return at > 0 && text_[at - 1] == '0' ? " (a number does not begin with 0)" : "";
    }

    const std::string_view text_;
    const unsigned max_depth_;
    std::size_t cursor_ = 0;
    Node root_;
    Node* last_ = nullptr;
    std::vector<Node*> open_;
    std::optional<SyntaxError> error_;
};

}  // namespace

std::string_view article_and_name(Node::Kind kind) {
    static constexpr std::array<std::string_view, 6> kNames{"null",     "true or false", "a number",
                                                            "a string", "an array",      "an object"};
    return kNames[static_cast<std::size_t>(kind)];
}

std::expected<Node, SyntaxError> parse_document(std::string_view text, unsigned max_depth) {
    // The parser would pass over one of its own accord.
    if (text.starts_with(kByteOrderMark))
        return std::unexpected(SyntaxError{0, "begins with more than one byte order mark (U+FEFF)"});
    if (const auto comment = unclosed_comment(text, 0))
        return std::unexpected(SyntaxError{*comment, std::string(kUnclosed)});
    if (next_token(text, 0).begin == text.size()) return std::unexpected(SyntaxError{0, "the file is empty"});
    Builder builder(text, max_depth);
    const bool good =
        Json::sax_parse(text.begin(), text.end(), &builder, Json::input_format_t::json, true, true);
    if (!good || !builder.at_end())
        return std::unexpected(builder.error().value_or(SyntaxError{0, "not valid JSON"}));
    return builder.take();
}

}  // namespace sluice::config
