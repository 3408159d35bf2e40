#include "service/policy/key.h"

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using config::KeyKind;

struct Keys {
    explicit Keys(std::vector<config::KeyPart> parts, config::Missing missing = config::Missing::ip)
        : maker(limit(std::move(parts), missing), {}, {1, 2}) {}

    static config::Limit limit(std::vector<config::KeyPart> parts, config::Missing missing) {
        return {.key = std::move(parts), .missing = missing};
    }
    std::optional<limit::ClientKey> of(const std::string& line, const std::string& fields = "",
                                       std::string_view client = "192.0.2.1", std::uint64_t route = 0) const {
        const Head head(line, fields);
        return maker.make({head.head, "", address(client)}, route);
    }
    KeyMaker maker;
};

const std::string kGet = "GET / HTTP/1.1";

TEST(Key, AddressUnderItsPrefix) {
    const Keys keys({{KeyKind::ip, ""}});
    EXPECT_EQ(keys.of(kGet), limit::ClientKey::of_address(address("192.0.2.1"), {}));
    EXPECT_EQ(keys.of(kGet, "", "2001:db8::1"), keys.of(kGet, "", "2001:db8::2"));
}

TEST(Key, WhoHasNoAddressIsInNoNetwork) {
    const Keys keys({{KeyKind::ip, ""}}), composite({{KeyKind::ip, ""}, {KeyKind::path, ""}});
    const Head head;
    const auto unix = keys.maker.make({head.head, "", kNoAddress}, 0);
    EXPECT_EQ(unix, limit::ClientKey::of_unix_peers());
    EXPECT_FALSE(unix->is_address());
    EXPECT_NE(unix->shown(), limit::ClientKey::global().shown());
    EXPECT_NE(unix, keys.of(kGet, "", "::1"));
    EXPECT_NE(composite.maker.make({head.head, "", kNoAddress}, 0), composite.of(kGet, "", "::1"));
    EXPECT_EQ(Keys({{KeyKind::header, "X-A"}}).maker.make({head.head, "", kNoAddress}, 0), unix);
}

TEST(Key, GlobalIsOneForAll) {
    const Keys keys({{KeyKind::global, ""}});
    EXPECT_EQ(keys.of(kGet), keys.of("POST /x HTTP/1.1", "", "2001:db8::1"));
}

TEST(Key, PartsOfTheRequestTellKeysApart) {
    EXPECT_NE(Keys({{KeyKind::method, ""}}).of(kGet), Keys({{KeyKind::method, ""}}).of("POST / HTTP/1.1"));
    EXPECT_NE(Keys({{KeyKind::path, ""}}).of(kGet), Keys({{KeyKind::path, ""}}).of("GET /a HTTP/1.1"));
    EXPECT_EQ(Keys({{KeyKind::path, ""}}).of("GET /a?x HTTP/1.1"),
              Keys({{KeyKind::path, ""}}).of("GET /a?y HTTP/1.1"));
    EXPECT_NE(Keys({{KeyKind::route, ""}}).of(kGet, "", "192.0.2.1", 1),
              Keys({{KeyKind::route, ""}}).of(kGet));
    const Keys host({{KeyKind::host, ""}});
    EXPECT_EQ(host.of("GET http://a.example/ HTTP/1.1"), host.of("GET http://A.EXAMPLE:80/ HTTP/1.1"));
    EXPECT_EQ(host.of("GET http://a.example/ HTTP/1.1"), host.of("GET http://a.example./ HTTP/1.1"));
    EXPECT_NE(host.of("GET http://a.example/ HTTP/1.1"), host.of("GET http://b.example/ HTTP/1.1"));
}

TEST(Key, HeaderCookieAndQuery) {
    const Keys header({{KeyKind::header, "X-Api-Key"}});
    EXPECT_EQ(header.of(kGet, "X-Api-Key: a\r\n"),
              header.of("GET /x HTTP/1.1", "x-api-key:  a \r\n", "192.0.2.9"));
    EXPECT_NE(header.of(kGet, "X-Api-Key: a\r\n"), header.of(kGet, "X-Api-Key: b\r\n"));
    const Keys cookie({{KeyKind::cookie, "id"}});
    EXPECT_EQ(cookie.of(kGet, "Cookie: a=1; id=7\r\n"), cookie.of(kGet, "Cookie: xid=3; id=7\r\n"));
    const Keys query({{KeyKind::query, "key"}});
    EXPECT_EQ(query.of("GET /?key=7&x=1 HTTP/1.1"), query.of("GET /y?x=2&key=7 HTTP/1.1"));
    EXPECT_NE(query.of("GET /?key=7 HTTP/1.1"), query.of("GET /?key=8 HTTP/1.1"));
}

TEST(Key, SpellingAQueryDifferentlyMakesNoOtherKey) {
    const Keys query({{KeyKind::query, "key"}});
    const auto plain = query.of("GET /?key=a%20b HTTP/1.1");
    for (const char* other :
         {"key=%61%20b", "%6Bey=a+b", "k%65y=a%20%62", "x&key=a+b", "key=a%20b&key=%61+b"})
        EXPECT_EQ(query.of("GET /?" + std::string(other) + " HTTP/1.1"), plain) << other;
    EXPECT_EQ(query.of("GET /?key=100%25 HTTP/1.1"), query.of("GET /?key=100% HTTP/1.1"))
        << "a cut escape stands for itself";
    const Keys path({{KeyKind::path, ""}});
    EXPECT_EQ(path.of("GET /login HTTP/1.1"), path.of("GET /%6cogin HTTP/1.1"));
}

// Which of several an upstream takes is its own affair: whoever adds one is counted by its address, and not
// as somebody new.
TEST(Key, ASecondValueMakesNoOtherKey) {
    const auto by_address = limit::ClientKey::of_address(address("192.0.2.1"), {});
    for (const auto missing : {config::Missing::ip, config::Missing::skip}) {
        const Keys header({{KeyKind::path, ""}, {KeyKind::header, "X-Api-Key"}}, missing);
        const Keys cookie({{KeyKind::cookie, "sid"}}, missing);
        const Keys query({{KeyKind::query, "key"}}, missing);
        for (const char* junk : {"1", "2", ""}) {
            const std::string other = junk;
            EXPECT_EQ(header.of(kGet, "X-Api-Key: real\r\nX-Api-Key: " + other + "\r\n"), by_address);
            EXPECT_EQ(header.of(kGet, "x-api-key: " + other + "\r\nX-Api-Key: real\r\n"), by_address);
            EXPECT_EQ(cookie.of(kGet, "Cookie: sid=" + other + "; sid=real\r\n"), by_address);
            EXPECT_EQ(cookie.of(kGet, "Cookie: sid=real\r\nCookie: a=b; sid=" + other + "\r\n"), by_address);
            EXPECT_EQ(query.of("GET /?key=" + other + "&key=real HTTP/1.1"), by_address);
            EXPECT_EQ(query.of("GET /?key=real&x=1&%6bey=" + other + " HTTP/1.1"), by_address);
        }
        EXPECT_EQ(query.of("GET /?key&key=real HTTP/1.1"), by_address);
    }
}

TEST(Key, TheSameValueAgainIsOne) {
    const Keys header({{KeyKind::header, "X-Api-Key"}}, config::Missing::skip);
    EXPECT_EQ(header.of(kGet, "X-Api-Key: a\r\nx-api-key: a\r\n"), header.of(kGet, "X-Api-Key: a\r\n"));
    const Keys cookie({{KeyKind::cookie, "sid"}}, config::Missing::skip);
    EXPECT_EQ(cookie.of(kGet, "Cookie: sid=a; sid=a\r\nCookie: sid=%61\r\n"),
              cookie.of(kGet, "Cookie: sid=a\r\n"));
    const Keys query({{KeyKind::query, "key"}}, config::Missing::skip);
    EXPECT_EQ(query.of("GET /?key=a+b&key=%61%20b HTTP/1.1"), query.of("GET /?key=a+b HTTP/1.1"));
}

TEST(Key, SpellingACookieDifferentlyMakesNoOtherKey) {
    const Keys cookie({{KeyKind::cookie, "sid"}});
    const auto plain = cookie.of(kGet, "Cookie: sid=a+b=c\r\n");
    for (const char* other : {"sid=\"a+b=c\"", "sid=%61%2bb=c", "x=y; sid=\"a%2Bb%3dc\"", " sid = a+b=c ;"})
        EXPECT_EQ(cookie.of(kGet, "Cookie: " + std::string(other) + "\r\n"), plain) << other;
    for (const char* other : {"sid=a b=c", "sid=\"a+b=c", "sid=A+b=c", "Sid=a+b=c"})
        EXPECT_NE(cookie.of(kGet, "Cookie: " + std::string(other) + "\r\n"), plain) << other;
    EXPECT_EQ(cookie.of(kGet, "Cookie: sid=\"\\141+b=c\"\r\n"),
              limit::ClientKey::of_address(address("192.0.2.1"), {}))
        << "some read an escape in it, others do not";
}

TEST(Key, CompositesAreToldApartByTheirParts) {
    const Keys keys({{KeyKind::header, "X-A"}, {KeyKind::header, "X-B"}});
    EXPECT_NE(keys.of(kGet, "X-A: ab\r\nX-B: c\r\n"), keys.of(kGet, "X-A: a\r\nX-B: bc\r\n"));
    const Keys both({{KeyKind::ip, ""}, {KeyKind::path, ""}});
    EXPECT_NE(both.of(kGet), both.of(kGet, "", "192.0.2.2"));
    EXPECT_NE(both.of(kGet), both.of("GET /a HTTP/1.1"));
    EXPECT_EQ(both.maker.description(), "ip+path");
}

TEST(Key, MissingCountsUnderTheAddressOrSkips) {
    for (const config::KeyPart& part :
         {config::KeyPart{KeyKind::header, "X-Api-Key"}, config::KeyPart{KeyKind::cookie, "id"},
          config::KeyPart{KeyKind::query, "key"}}) {
        EXPECT_EQ(Keys({part}).of(kGet), limit::ClientKey::of_address(address("192.0.2.1"), {}));
        EXPECT_EQ(Keys({part}, config::Missing::skip).of(kGet), std::nullopt);
        EXPECT_EQ(Keys({{KeyKind::path, ""}, part}, config::Missing::skip).of(kGet), std::nullopt);
    }
}

TEST(Key, DigestsNeedTheSecret) {
    const Head head("GET / HTTP/1.1", "X-Api-Key: a\r\n");
    const config::Limit limit = Keys::limit({{KeyKind::header, "X-Api-Key"}}, config::Missing::ip);
    EXPECT_NE(KeyMaker(limit, {}, {1, 2}).make({head.head, "", {}}, 0),
              KeyMaker(limit, {}, {1, 3}).make({head.head, "", {}}, 0));
}

TEST(Key, Cookies) {
    const auto found = [](std::string_view line, std::string_view name) {
        http::Fields fields;
        fields.add({"Cookie", line, http::FieldId::cookie});
        const NamedValue value = cookie(fields, name);
        return value.found == NamedValue::Found::one ? std::optional(value.text) : std::nullopt;
    };
    EXPECT_EQ(found("a=1", "a"), "1");
    EXPECT_EQ(found("a=1; b=2;c=3", "b"), "2");
    EXPECT_EQ(found("a=1; b=2;c=3", "c"), "3");
    EXPECT_EQ(found("a=;b", "a"), "");
    EXPECT_EQ(found("ab=1; a=x=y", "a"), "x=y");
    EXPECT_EQ(found("a=\"\"", "a"), "");
    EXPECT_EQ(found("a=\"", "a"), "\"");
    EXPECT_EQ(found("a", "a"), std::nullopt);
    EXPECT_EQ(found("b=1", "a"), std::nullopt);
    EXPECT_EQ(found("", "a"), std::nullopt);
    EXPECT_EQ(found(";;= ;", "a"), std::nullopt);
}

}  // namespace
}  // namespace sluice::policy
