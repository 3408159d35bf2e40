// The schema says what the parser does: the same keys, the same choices, the same defaults; and the examples
// show it all.

#include "config/schema.h"

#include <map>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "config/document.h"
#include "config/sections.h"
#include "config/supported.h"
#include "config/to_json.h"
#include "tests/config/files.h"
#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

using Json = nlohmann::json;
using Keys = std::map<std::string, std::set<std::string>>;  // by the pattern of their object

// A file in which every object that the parser knows is there, built or not.
constexpr std::string_view kEveryObject = R"({
  "listen": [ { "address": "127.0.0.1:1", "tls": {} } ],
  "upstreams": { "app": { "servers": [ { "address": "a:1" } ], "tls": {}, "health": {}, "eject": {} } },
  "routes": [ { "match": { "header": {} }, "respond": { "headers": {} } } ],
  "client": {}, "limits": [ { "match": { "header": {} }, "cost": { "by_method": { "GET": 1 } }, "ban": {} } ],
  "response": { "body": {} }, "clients": {}, "store": {}, "timeouts": {}, "max": {}, "admin": {}, "log": {}, "runtime": {} })";

Keys known_to_the_parser() {
    const auto document = parse_document(kEveryObject, 32);
    Reader reader("f", kEveryObject);
    Config config;
    read(reader, Value{*document, "", ""}, config);
    return reader.known_keys();
}

// Walks the schema as a validator would, calling visit(pattern, schema of the value) for every value that it
// knows.
class Walker {
  public:
    explicit Walker(const Json& root) : root_(root) {}

    template <class Visit>
    void walk(const Json& schema, const std::string& pattern, const Visit& visit) const {
        if (const auto ref = schema.find("$ref"); ref != schema.end())
            walk(root_.at(Json::json_pointer(ref->get<std::string>().substr(1))), pattern, visit);
        for (const Json& option : schema.value("anyOf", Json::array())) {
            if (option.contains("properties") || option.contains("$ref") || option.contains("items"))
                walk(option, pattern, visit);
        }
        if (const auto items = schema.find("items"); items != schema.end()) {
            visit(pattern + "/*", *items);
            walk(*items, pattern + "/*", visit);
        }
        if (const auto more = schema.find("additionalProperties");
            more != schema.end() && more->is_object()) {
            visit(pattern + "/*", *more);
            walk(*more, pattern + "/*", visit);
        }
        const auto properties = schema.find("properties");
        if (properties == schema.end()) return;
        for (const auto& [key, value] : properties->items()) {
            visit(pattern + "/" + key, value);
            walk(value, pattern + "/" + key, visit);
        }
    }

  private:
    const Json& root_;
};

const Json& document() {
    static const Json parsed = Json::parse(schema());
    return parsed;
}

Keys known_to_the_schema() {
    Keys keys;
    Walker(document()).walk(document(), "", [&](const std::string& pattern, const Json&) {
        const auto slash = pattern.rfind('/');
        if (pattern.substr(slash + 1) != "*")
            keys[pattern.substr(0, slash)].insert(pattern.substr(slash + 1));
    });
    // One entry of "listen" may stand for all.
    keys.erase("/listen");
    keys.erase("/listen/tls");
    return keys;
}

// What is written about every pattern: descriptions along the references.
std::map<std::string, std::string> descriptions() {
    std::map<std::string, std::string> out;
    Walker(document()).walk(document(), "", [&](const std::string& pattern, const Json& value) {
        out[pattern] += value.value("description", "") + "\n";
    });
    return out;
}

TEST(Schema, IsTheFileByteForByte) {
    EXPECT_EQ(schema(), content(kFolder / "sluice.schema.json"));
    EXPECT_EQ(document().at("$schema"), "https://json-schema.org/draft/2020-12/schema");
}

TEST(Schema, KnowsTheKeysOfTheParserAndNoOthers) {
    EXPECT_EQ(known_to_the_schema(), known_to_the_parser());
}

TEST(Schema, ObjectsTakeNoOtherKeys) {
    const auto expect_closed = [](const std::string& name, const Json& object) {
        if (object.contains("properties")) {
            EXPECT_EQ(object.value("additionalProperties", Json(true)), false) << name;
        }
    };
    expect_closed("the whole", document());
    Walker(document()).walk(document(), "", expect_closed);
    for (const auto& [name, definition] : document().at("$defs").items()) expect_closed(name, definition);
}

TEST(Schema, DescribesEveryKey) {
    for (const auto& [pattern, keys] : known_to_the_schema()) {
        for (const std::string& key : keys)
            EXPECT_GT(descriptions()[pattern + "/" + key].size(), 5U) << pattern << "/" << key;
    }
}

TEST(Schema, SaysWhatIsNotSupportedYet) {
    const auto texts = descriptions();
    std::set<std::string> expected;
    for (const NotBuilt& row : not_built()) expected.emplace(row.pattern);
    std::set<std::string> said;
    for (const auto& [pattern, text] : texts) {
        std::string lower = text;
        for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (lower.contains("not supported yet")) said.insert(pattern);
    }
    for (const std::string& pattern : expected)
        EXPECT_TRUE(said.contains(pattern)) << pattern << " is refused, and the schema does not say so";
    for (const std::string& pattern : said) {
        const bool whole = pattern == "/store" || pattern.starts_with("/listen/");
        EXPECT_TRUE(whole || expected.contains(pattern))
            << pattern << " is supported, and the schema says it is not";
    }
}

// Every default of the schema, put into a file, changes nothing.
TEST(Schema, HasTheDefaultsOfTheParser) {
    std::map<std::string, Json> defaults;
    Walker(document()).walk(document(), "", [&](const std::string& pattern, const Json& value) {
        if (value.contains("default")) defaults[pattern] = value.at("default");
    });
    const Json plain =
        Json::parse(to_json(good(R"({ "upstream": "a:1", "limits": [ { "rate": "10/s" } ] })")));
    int compared = 0;
    for (const auto& [pattern, value] : defaults) {
        std::string pointer = pattern;
        for (const auto& [from, to] :
             {std::pair("/upstreams/*", "/upstreams/default"), std::pair("/*", "/0")}) {
            for (auto at = pointer.find(from); at != std::string::npos; at = pointer.find(from))
                pointer.replace(at, std::string(from).size(), to);
        }
        const Json::json_pointer where(pointer);
        if (!plain.contains(where)) continue;
        Json seen = plain.at(where);
        if (pattern == "/limits/*/key") seen = seen[0];
        if (pattern == "/listen") seen = seen[0].at("address");
        if (pattern == "/limits") seen = Json::array();
        if (seen == "1m" && value == "60s") seen = "60s";
        EXPECT_EQ(seen, value) << pattern;
        ++compared;
    }
    EXPECT_GE(compared, 40);
}

TEST(Schema, HasTheChoicesOfTheParser) {
    std::map<std::string, Json> choices;
    Walker(document()).walk(document(), "", [&](const std::string& pattern, const Json& value) {
        for (const Json& option : value.value("anyOf", Json::array())) {
            if (option.contains("enum")) choices[pattern] = option.at("enum");
        }
    });
    const auto expect = [&](const std::string& pattern, const auto& names) {
        EXPECT_EQ(choices[pattern], Json(names)) << pattern;
        choices.erase(pattern);
    };
    expect("/upstreams/*/balance", kNames<Balance>);
    expect("/limits/*/missing", kNames<Missing>);
    expect("/limits/*/algorithm", kNames<Algorithm>);
    expect("/limits/*/mode", kNames<Mode>);
    expect("/limits/*/action", kNames<Action>);
    expect("/response/body", kNames<BodyFormat>);
    expect("/response/headers", kNames<RateHeaders>);
    expect("/store/on_error", kNames<StoreError>);
    expect("/log/level", kNames<LogLevel>);
    expect("/log/access", kNames<AccessLog>);
    expect("/log/format", kNames<LogFormat>);
    EXPECT_TRUE(choices.empty()) << Json(choices).dump();
}

TEST(Examples, AreGood) {
    ASSERT_GE(examples().size(), 4U);
    for (const auto& path : examples()) {
        SCOPED_TRACE(path);
        good(content(path));
    }
}

void collect(const Value& value, std::set<std::string>& seen) {
    seen.insert(value.pattern);
    for (std::size_t i = 0; i < value.node.items.size(); ++i) collect(value.item(i), seen);
    const bool chosen = value.pattern == "/upstreams" || value.pattern.ends_with("/header") ||
                        value.pattern.ends_with("/headers") || value.pattern.ends_with("/by_method");
    for (const Member& member : value.node.members)
        collect(chosen ? value.entry(member) : value.member(member), seen);
}

TEST(Examples, EverythingNamesEveryKeyThatIsBuilt) {
    const auto document = parse_document(content(kFolder / "examples" / "everything.json"), 32);
    ASSERT_TRUE(document);
    std::set<std::string> seen;
    collect(Value{*document, "", ""}, seen);
    // The shorthand, what goes with what is not built, and conditions that would not go with the others.
    const std::set<std::string> left_out{"/upstream", "/limits/*/max", "/limits/*/max_delay",
                                         "/store/timeout", "/store/on_error"};
    const auto missing = [&](const std::string& pattern) {
        return std::ranges::any_of(not_built(), [&](const NotBuilt& row) {
            return row.refused == "*" &&
                   (pattern == row.pattern || pattern.starts_with(std::string(row.pattern) + "/"));
        });
    };
    for (const auto& [pattern, keys] : known_to_the_parser()) {
        for (const std::string& key : keys) {
            const std::string whole = pattern + "/" + key;
            if (missing(whole) || left_out.contains(whole) || whole.starts_with("/limits/*/match/")) continue;
            EXPECT_TRUE(seen.contains(whole)) << whole;
        }
    }
}

}  // namespace
}  // namespace sluice::config
