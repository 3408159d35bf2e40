#include "service/http/fields.h"

#include <cctype>
#include <string>

#include <gtest/gtest.h>

#include "service/http/hop_by_hop.h"

namespace sluice::http {
namespace {

TEST(Fields, NamesAreIdentifiedInAnyCase) {
    EXPECT_EQ(identify("Transfer-Encoding"), FieldId::transfer_encoding);
    EXPECT_EQ(identify("tRANSFER-eNCODING"), FieldId::transfer_encoding);
    EXPECT_EQ(identify("TE"), FieldId::te);
    EXPECT_EQ(identify("proxy-authentication-info"), FieldId::proxy_authentication_info);
    EXPECT_EQ(identify("X-Real-IP"), FieldId::x_forwarded);
    EXPECT_EQ(identify("X-Forwarded-Port"), FieldId::x_forwarded);
    EXPECT_EQ(identify("X-Forwarded-For"), FieldId::x_forwarded_for);
}

TEST(Fields, OtherNamesAreNotTakenForOurs) {
    for (const char* name :
         {"", "T", "Hosts", "Hos", "X-Forwarded-", "Accept", "Content-Type", "Content-Length0",
          "Transfer.Encoding", "X_Custom", "User_Agent", "ho\x13t", "te\x01"})
        EXPECT_EQ(identify(name), FieldId::other) << name;
}

TEST(Fields, UnderscoresMakeALookalike) {
    for (const char* name :
         {"X_Forwarded_For", "x-forwarded_host", "X_Real_IP", "Transfer_Encoding", "content-_length"})
        EXPECT_EQ(identify(name),
                  name == std::string_view("content-_length") ? FieldId::other : FieldId::lookalike)
            << name;
}

TEST(Fields, PassOnOverrulesConnectionAndLeavesLookalikesBehind) {
    Fields fields;
    for (const char* name : {"CF-Connecting-IP", "cf_connecting_ip", "cf-connecting-ip", "CF-Connecting-IPs"})
        fields.add({.name = name, .value = "1", .hop = true});
    const auto hops = [&] {
        std::string text;
        for (const Field& field : fields) text += field.hop ? 'x' : '.';
        return text;
    };
    fields.pass_on("cf-Connecting-IP", true);
    EXPECT_EQ(hops(), ".x.x");
    fields.pass_on("cf-Connecting-IP", false);
    EXPECT_EQ(hops(), "xxxx");
}

TEST(Fields, FindsTheFirstAndCountsAll) {
    Fields fields;
    fields.add({"A", "1"});
    fields.add({"Via", "2", FieldId::via});
    fields.add({"via", "3", FieldId::via});
    EXPECT_EQ(fields.find(FieldId::via)->value, "2");
    EXPECT_EQ(fields.find("VIA")->value, "2");
    EXPECT_EQ(fields.count(FieldId::via), 2u);
    EXPECT_EQ(fields.count(FieldId::te), 0u);
    EXPECT_FALSE(fields.has(FieldId::other));
    const Fields copy = fields;
    EXPECT_EQ(copy.size(), 3u);
    EXPECT_EQ(copy.find("a")->value, "1");
}

TEST(Fields, SetNeverHoldsTheUnknown) {
    EXPECT_FALSE((FieldSet{FieldId::other}).contains(FieldId::other));
    EXPECT_TRUE((FieldSet{FieldId::host} | FieldSet{FieldId::te}).contains(FieldId::host));
}

TEST(Fields, Row48WhatMayStandInATrailer) {
    for (const char* name : {"X-Checksum", "Server-Timing", "Digest", "ETag", "grpc-status"})
        EXPECT_TRUE(may_trail(name)) << name;
    for (const char* name :
         {"Transfer-Encoding", "Content-Length", "Host", "X-Forwarded-For", "Connection", "TE", "Trailer",
          "Authorization", "Set-Cookie", "Content-Type", "Cache-Control", "Range", "X_Forwarded_For",
          "X-Real-IP", "RateLimit", "Retry-After", "Expect", "Upgrade"})
        EXPECT_FALSE(may_trail(name)) << name;
}

}  // namespace
}  // namespace sluice::http
