// The text itself: syntax, places, encodings, sizes.

#include "config/document.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "config/text.h"
#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

using Json = nlohmann::json;

TEST(Text, KnowsLinesAndColumnsInCharacters) {
    const std::string text = "ab\ncäd\r\ne";
    const auto at = [&](std::size_t offset) {
        const Place place = place_of(text, offset);
        return std::pair(place.line, place.column);
    };
    EXPECT_EQ(at(0), std::pair(1U, 1U));
    EXPECT_EQ(at(3), std::pair(2U, 1U));
    EXPECT_EQ(at(text.find('d')), std::pair(2U, 3U));
    EXPECT_EQ(at(text.find('e')), std::pair(3U, 1U));
    EXPECT_EQ(at(text.size()), std::pair(3U, 2U));
    EXPECT_EQ(place_of("", 0).line, 1U);
}

TEST(Text, FindsTheFirstByteThatIsNoUtf8) {
    EXPECT_EQ(first_bad_byte("plain ä € 😀"), std::nullopt);
    EXPECT_EQ(first_bad_byte(std::string_view("ab\0c", 4)), 2U);
    for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE2\x82", "\xED\xA0\x80", "\xE0\x80\x80",
                            "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF"})
        EXPECT_EQ(first_bad_byte(std::string("ok") + bad), 2U);
}

// Every node of a document must stand where its own text begins.
void expect_places(const std::string& text, const Node& node) {
    const char first = text[node.offset];
    switch (node.kind) {
        case Node::Kind::object: EXPECT_EQ(first, '{'); break;
        case Node::Kind::array: EXPECT_EQ(first, '['); break;
        case Node::Kind::string: EXPECT_EQ(first, '"'); break;
        default: EXPECT_EQ(text.substr(node.offset, node.text.size()), node.text); break;
    }
    for (const Node& item : node.items) expect_places(text, item);
    for (const Member& member : node.members) {
        EXPECT_EQ(text[member.offset], '"');
        expect_places(text, member.value);
    }
}

TEST(Document, RemembersWhereEverythingStands) {
    for (const std::string text :
         {R"({"a":1,"b":[true,false,null,-1.5e3,"x",[],{}],"c":{"d":{}}})",
          "// c\n{ /* , : { */ \"a\" /* x */ : /* y */ 1 , // z\n \"b,:\" : [ 1 , 2 /**/ ] }\n// end",
          R"(  [ [ [ ] ] , "a\"b\\" , { "k" : "}" } ]  )", "12", "\"x\""}) {
        const auto document = parse_document(text, 8);
        ASSERT_TRUE(document) << text;
        expect_places(text, *document);
    }
}

// What nlohmann::json makes of the same text; of a number, what is written.
void expect_same(const Json& json, const Node& node) {
    ASSERT_EQ(json.is_object(), node.kind == Node::Kind::object);
    ASSERT_EQ(json.is_array(), node.kind == Node::Kind::array);
    if (json.is_object()) {
        for (const Member& member : node.members) expect_same(json.at(member.key), member.value);
    } else if (json.is_array()) {
        ASSERT_EQ(json.size(), node.items.size());
        for (std::size_t i = 0; i < json.size(); ++i) expect_same(json[i], node.items[i]);
    } else if (json.is_string()) {
        EXPECT_EQ(json.get<std::string>(), node.text);
    } else {
        EXPECT_EQ(json, Json::parse(node.text));
    }
}

// Where a comment, a blank or a string ends is asked of two readers: ours, and the library's.
TEST(Document, HoldsWhatTheLibraryReads) {
    const auto comments = [](const std::string& text) { return Json::parse(text, nullptr, false, true); };
    const std::vector<std::string> between{
        "",         " ",        "\t",     "\r",    "\r\n",  "// x\r",  "// x\n",  "// x\r\n", "// , true\r",
        "//\r//\n", "/* // */", "/*\r*/", "/*/*/", "/***/", "// \"\n", "// /*\r", "/* \" */"};
    const std::vector<std::string> values{"true",      "false",       "null", "-1.5e3", "0",
                                          R"("// x")", R"("\\\"/*")", "[]",   "{}"};
    unsigned seed = 1;
    const auto any = [&](const std::vector<std::string>& of) {
        seed = seed * 1664525 + 1013904223;
        return of[(seed >> 8) % of.size()];
    };
    for (int round = 0; round < 2000; ++round) {
        std::string text = any(between) + "{" + any(between);
        for (const char* key : {"\"a\"", "\"b\"", "\"c\""}) {
            if (key[1] != 'a') text += "," + any(between);
            text += key + any(between) + ":" + any(between) + any(values) + any(between);
        }
        text += "}" + any(between);
        const auto document = parse_document(text, 8);
        ASSERT_TRUE(document) << text << document.error().message;
        expect_same(comments(text), *document);
        expect_places(text, *document);
        if (HasFailure()) FAIL() << testing::PrintToString(text);
    }
}

TEST(Document, ACarriageReturnAloneEndsALineComment) {
    const Config config = good(
        "{ // the old Mac's lines\r \"upstream\": \"a:1\", // yes\r \"listen\": { \"address\": "
        "\"0.0.0.0:1\", \"reuse_port\": true } }");
    ASSERT_EQ(config.listen.size(), 1U);
    EXPECT_TRUE(config.listen[0].reuse_port);
}

TEST(Document, BrokenJsonIsOneErrorWhereItBreaks) {
    const std::pair<const char*, const char*> rows[] = {
        {"@", "the file is empty"},
        {"@ // nothing\n", "the file is empty"},
        {"{\n  \"upstream\": \n@}", "not valid JSON: unexpected '}'; expected '[', '{', or a literal"},
        {"{ \"a\": 1,\n@}",
         "not valid JSON: unexpected '}'; expected string literal (the comma before it is one too many)"},
        {"[ 1, @]",
         "not valid JSON: unexpected ']'; expected '[', '{', or a literal (the comma before it is one too "
         "many)"},
        {"{ \"a\": 1\n  @\"b\": 2 }",
         "not valid JSON: unexpected string literal; expected '}', or a comma before it"},
        {"[ 1 @2 ]", "not valid JSON: unexpected number literal; expected ']', or a comma before it"},
        {"{ \"a\" @1 }", "not valid JSON: unexpected number literal; expected ':'"},
        {"{} @x", "not valid JSON: invalid literal"},
        {"{ \"a\": 1 }@}", "not valid JSON: unexpected '}'; expected end of input"},
        {"{ \"a\": @tru }", "not valid JSON: invalid literal"},
        {"{ \"a\": @tru}", "not valid JSON: invalid literal"},
        {"@# Sluice\n{}", "not valid JSON: invalid literal (comments are // and /* */)"},
        {"{ \"a\": 1, @# one\n}", "not valid JSON: invalid literal (comments are // and /* */)"},
        {"@listen: 0.0.0.0:8080\n", "not valid JSON: invalid literal (the file is one object: { … })"},
        {"{ @'a': 1 }", "not valid JSON: invalid literal (strings are in double quotes)"},
        {"{ \"a\": 0@1 }",
         "not valid JSON: unexpected number literal; expected '}' (a number does not begin with 0)"},
        {"{ \"a\": @1e999 }", "not valid JSON: number overflow parsing '1e999'"},
        {"{ \"a\": \"x@\n\" }",
         "not valid JSON: invalid string: control character U+000A (LF) must be escaped to \\u000A or \\n"},
        {"{ \"a\": \"x\\@q\" }", "not valid JSON: invalid string: forbidden character after backslash"},
        {"{ \"a\": [ 1, 2 @}", "not valid JSON: unexpected '}'; expected ']'"},
        {"{ \"a\": 1@", "not valid JSON: unexpected end of input; expected '}'"},
    };
    for (const auto& [text, message] : rows) expect_error(text, "", message);
}

TEST(Document, ACommentThatIsNeverClosedIsToldWhereItBegins) {
    for (const char* text : {"@/* a\n", "// a\n @/*/", "{ \"a\": 1, @/* } *\n", "{} // b\n/**/ @/* /*"})
        expect_error(text, "", "a comment that is never closed");
}

TEST(Document, ColumnsCountCharacters) {
    expect_error("{ \"\\@q\": 1 }", "",
                 "not valid JSON: invalid string: forbidden character after backslash");
    const Errors errors = errors_of("{ \"listen\": \"127.0.0.1:80\", /* äöü */ \"upstream\": 1 }");
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].column, 51U);
}

TEST(Document, TheWholeIsAnObject) {
    expect_error("@[ 1, 2 ]", "", "must be an object, not an array");
    expect_error("// x\n @null", "", "must be an object, not null");
}

TEST(Document, DeepNestingIsAnErrorAndNotAStackOverflow) {
    const std::string deep = with("\"x\": " + std::string(100'000, '['));
    const Errors errors = errors_of(deep);
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].message, "nested deeper than 32 levels");
}

TEST(Document, IsUtf8) {
    const Errors errors = errors_of("{ \"upstream\":\n \"a\xFF:1\" }");
    EXPECT_EQ(lines(errors), "f:2:4: not UTF-8 text\n");
}

TEST(Document, AByteOrderMarkIsNoPartOfIt) {
    good("\xEF\xBB\xBF{ \"upstream\": \"a:1\" }");
    EXPECT_EQ(lines(errors_of("\xEF\xBB\xBF{ \"upstream\": 1 }")),
              "f:1:15: /upstream: must be the address of a server, a string such as \"127.0.0.1:3000\", not "
              "a number\n");
}

TEST(Document, ASecondByteOrderMarkIsAnError) {
    EXPECT_EQ(lines(errors_of("\xEF\xBB\xBF\xEF\xBB\xBF{ \"upstream\": \"a:1\" }")),
              "f:1:1: begins with more than one byte order mark (U+FEFF)\n");
}

TEST(Document, CommentsAndWindowsLinesAreAllowed) {
    good("// first\r\n{ /* a\n * b */ \"upstream\": \"a:1\" // \"c\": 1\r\n}");
}

TEST(Document, LargerThanTheLimitIsOneError) {
    const std::string large = "{ \"upstream\": \"a:1\" }" + std::string(kMaxFileBytes, ' ');
    EXPECT_EQ(lines(errors_of(large)), "f: is larger than 4 MiB\n");
}

TEST(Document, AfterAHundredErrorsTheRestIsNotShown) {
    std::string text = "{ \"upstream\": \"a:1\"";
    for (int i = 0; i < 500; ++i) text += ",\n\"x" + std::to_string(i) + "\": 1";
    const Errors errors = errors_of(text + "}");
    ASSERT_EQ(errors.size(), 101U);
    EXPECT_EQ(errors.back().message, "more errors than these");
}

}  // namespace
}  // namespace sluice::config
