#pragma once

// JSON written from the front to the back, with no tree of it in between: it takes no memory but the text's,
// and where there is none for that, std::bad_alloc is all that happens. (A tree of nlohmann's takes memory to
// be destroyed as well, and ends the process where there is none.)

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice::config {

class JsonArray;
class JsonObject;
class JsonText;
struct JsonMember;

/// What is to be written: null, a truth, a number (null unless finite), a time in seconds, a text, an object
/// as the list of its members, or what can be called with a JsonObject or a JsonArray, to fill it. An
/// optional is null when it is empty. Borrows all of that, so it is for arguments only.
class JsonValue {
  public:
    JsonValue(std::nullptr_t) : what_(nullptr) {}
    JsonValue(std::same_as<bool> auto truth) : what_(truth) {}
    template <std::integral Number>
        requires(!std::same_as<Number, bool>)
    JsonValue(Number number) {
        if constexpr (std::signed_integral<Number>)
            what_ = std::int64_t{number};
        else
            what_ = std::uint64_t{number};
    }
    JsonValue(double number) : what_(number) {}
    template <class Rep, class Period>
    JsonValue(std::chrono::duration<Rep, Period> time) : what_(std::chrono::duration<double>(time).count()) {}
    JsonValue(const std::convertible_to<std::string_view> auto& text) : what_(std::string_view(text)) {}
    JsonValue(std::initializer_list<JsonMember> members) : what_(members) {}
    template <class T>
    JsonValue(const std::optional<T>& value) {
        if (value) what_ = JsonValue(*value).what_;
    }
    template <std::invocable<JsonObject&> Fill>
    JsonValue(const Fill& fill) : what_(ObjectFiller{&fill, &call<Fill, JsonObject>}) {}
    template <std::invocable<JsonArray&> Fill>
    JsonValue(const Fill& fill) : what_(ArrayFiller{&fill, &call<Fill, JsonArray>}) {}

    JsonValue(const JsonValue&) = delete;
    JsonValue& operator=(const JsonValue&) = delete;

  private:
    friend class JsonText;

    template <class Part>
    struct Filler {
        const void* fill;
        void (*call)(const void* fill, Part& part);
    };
    using ObjectFiller = Filler<JsonObject>;
    using ArrayFiller = Filler<JsonArray>;

    template <class Fill, class Part>
    static void call(const void* fill, Part& part) {
        (*static_cast<const Fill*>(fill))(part);
    }

    std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string_view,
                 std::initializer_list<JsonMember>, ObjectFiller, ArrayFiller>
        what_;
};

struct JsonMember {
    std::string_view name;
    JsonValue value;
};

/// The members of an object that is being written; whoever adds sees to it that no name comes twice.
class JsonObject {
  public:
    void add(std::string_view name, const JsonValue& value);
    void add(std::initializer_list<JsonMember> members);

  private:
    friend class JsonText;
    explicit JsonObject(JsonText& text) : text_(text) {}
    JsonText& text_;
};

/// The elements of an array that is being written.
class JsonArray {
  public:
    void add(const JsonValue& value);

  private:
    friend class JsonText;
    explicit JsonArray(JsonText& text) : text_(text) {}
    JsonText& text_;
};

/// each(items, value_of): an array of value_of(item) for each of them.
template <class Items, class ValueOf>
auto each(const Items& items, ValueOf value_of) {
    return [&items, value_of](JsonArray& out) {
        for (const auto& item : items) out.add(value_of(item));
    };
}

enum class JsonForm : std::uint8_t { indented, one_line };

/// `value` as text, without a newline at its end. What is not UTF-8 in it becomes U+FFFD.
std::string json_text(const JsonValue& value, JsonForm form = JsonForm::indented);

}  // namespace sluice::config
