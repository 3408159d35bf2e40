#include "config/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "config/json_string.h"

namespace sluice::config {

class JsonText {
  public:
    explicit JsonText(JsonForm form) : form_(form) {}

    void value(const JsonValue& value) {
        std::visit([this](const auto& what) { write(what); }, value.what_);
    }

    // What comes before a member or an element: a comma unless it is the first, and a line of its own.
    void next() {
        if (!std::exchange(first_, false)) text_ += ',';
        new_line();
    }

    void name(std::string_view name) {
        write(name);
        text_ += form_ == JsonForm::indented ? ": " : ":";
    }

    std::string take() && { return std::move(text_); }

  private:
    void write(std::nullptr_t) { text_ += "null"; }
    void write(bool truth) { text_ += truth ? "true" : "false"; }
    void write(std::int64_t number) { digits(number); }
    void write(std::uint64_t number) { digits(number); }

    void write(double number) {
        if (!std::isfinite(number)) return write(nullptr);
        const std::size_t begin = text_.size();
        digits(number);
        // Who guesses types from what comes first, as stores of documents do, must not take it for an
        // integer.
        if (text_.find_first_of(".e", begin) == std::string::npos) text_ += ".0";
    }

    void write(std::string_view text) {
        text_ += '"';
        while (!text.empty()) {
            const auto stop = std::ranges::find_if_not(text, stands_for_itself);
            text_.append(text.begin(), stop);
            text.remove_prefix(static_cast<std::size_t>(stop - text.begin()));
            char scratch[6];
            if (!text.empty()) text_ += take_escaped(text, scratch);
        }
        text_ += '"';
    }

    void write(std::initializer_list<JsonMember> members) {
        braced('{', '}', [&] { JsonObject(*this).add(members); });
    }

    void write(const JsonValue::ObjectFiller& filler) {
        JsonObject object(*this);
        braced('{', '}', [&] { filler.call(filler.fill, object); });
    }

    void write(const JsonValue::ArrayFiller& filler) {
        JsonArray array(*this);
        braced('[', ']', [&] { filler.call(filler.fill, array); });
    }

    void digits(auto number) {
        std::array<char, 32> buffer;
        text_.append(buffer.data(), std::to_chars(buffer.begin(), buffer.end(), number).ptr);
    }

    void braced(char open, char close, auto&& content) {
        text_ += open;
        ++depth_;
        const bool outer = std::exchange(first_, true);
        content();
        --depth_;
        if (!std::exchange(first_, outer)) new_line();
        text_ += close;
    }

    void new_line() {
        if (form_ == JsonForm::one_line) return;
        text_ += '\n';
        text_.append(2 * depth_, ' ');
    }

    const JsonForm form_;
    std::string text_;
    std::size_t depth_ = 0;
    bool first_ = true;  // nothing is in this object or array yet
};

void JsonObject::add(std::string_view name, const JsonValue& value) {
    text_.next();
    text_.name(name);
    text_.value(value);
}

void JsonObject::add(std::initializer_list<JsonMember> members) {
    for (const JsonMember& member : members) add(member.name, member.value);
}

void JsonArray::add(const JsonValue& value) {
    text_.next();
    text_.value(value);
}

std::string json_text(const JsonValue& value, JsonForm form) {
    JsonText text(form);
    text.value(value);
    return std::move(text).take();
}

}  // namespace sluice::config
