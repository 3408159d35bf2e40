#include "service/http/write_head.h"

#include "service/http/hop_by_hop.h"
#include "service/http/writer.h"

namespace sluice::http {

namespace {

// RFC 9110 §7.6.3: the version that was received by, and who we are.
constexpr std::string_view kVia11 = "Via: 1.1 sluice\r\n";
constexpr std::string_view kVia10 = "Via: 1.0 sluice\r\n";

// What write_request_head writes itself, whoever asks.
constexpr FieldSet kOfRequest = kNotCopied | FieldSet{FieldId::host, FieldId::expect, FieldId::lookalike};
constexpr FieldSet kOfTrusted = kOfRequest | FieldSet{FieldId::x_forwarded_for};
constexpr FieldSet kOfUntrusted = kOfRequest | kForwarding;

// RFC 9110 §6.6.2: what Trailer announces can only come behind chunks.
FieldSet announcements(const Framing& framing) {
    return framing.kind == Framing::Kind::chunked ? FieldSet{} : FieldSet{FieldId::trailer};
}

// Fields that lie behind one another as they would be written, as most do, are copied at once.
void copy_fields(const Fields& fields, FieldSet except, Writer& to) {
    const char* begin = nullptr;
    const char* end = nullptr;
    for (const Field& field : fields) {
        if (field.hop || except.contains(field.id)) continue;
        if (!field.plain || field.name.data() != end) {
            to << std::string_view(begin, end);
            begin = end = field.name.data();
        }
        if (field.plain) {
            end = field.value.data() + field.value.size() + 2;
        } else {
            to.field(field.name, field.value);
        }
    }
    to << std::string_view(begin, end);
}

void write_framing(const Framing& framing, Writer& to) {
    if (framing.kind == Framing::Kind::length) to << "Content-Length: " << framing.length << "\r\n";
    if (framing.kind == Framing::Kind::chunked) to << "Transfer-Encoding: chunked\r\n";
}

// Several lines are one list, in their order; the peer is its newest element. One without an address adds
// none: to whoever reads the list from the right, a word in its place would hide the rest.
void write_forwarded_for(const RequestHead& head, const UpstreamRequest& with, Writer& to) {
    std::string_view before = "X-Forwarded-For: ";
    const auto add = [&](std::string_view value) {
        if (value.empty()) return;
        to << before << value;
        before = ", ";
    };
    if (with.trusted && head.fields.has(FieldId::x_forwarded_for))
        for (const Field& field : head.fields)
            if (field.id == FieldId::x_forwarded_for) add(field.value);
    add(with.peer);
    if (before == ", ") to << "\r\n";
}

// A trusted proxy's word stands; where it gave none, and from anyone else, ours does.
void write_forwarding(const RequestHead& head, const UpstreamRequest& with, Writer& to) {
    const auto ours = [&](FieldId id) { return !with.trusted || !head.fields.has(id); };
    write_forwarded_for(head, with, to);
    if (ours(FieldId::x_forwarded_proto)) to.field("X-Forwarded-Proto", with.proto);
    if (ours(FieldId::x_forwarded_host) && !head.authority.empty())
        to.field("X-Forwarded-Host", head.authority);
    if (ours(FieldId::x_request_id)) to.field("X-Request-Id", with.request_id);
    to << (head.minor == 0 ? kVia10 : kVia11);
}

// RFC 9110 §7.6.1: what is of the next connection only is named in Connection.
void write_connection(const RequestHead& head, const UpstreamRequest& with, Writer& to) {
    const bool upgrade = with.upgrade && !head.upgrade.empty();
    if (upgrade) to << "Upgrade: " << head.upgrade << "\r\nConnection: Upgrade\r\n";
    if (head.te_trailers) to << "TE: trailers\r\nConnection: TE\r\n";
}

void write_target(std::string_view origin, Writer& to) {
    if (!origin.starts_with('/') && origin != "*") to << '/';
    to << origin;
}

}  // namespace

std::string_view write_request_head(const RequestHead& head, const UpstreamRequest& with,
                                    std::span<char> room) {
    Writer to(room);
    to << head.method_text << ' ';
    write_target(with.origin, to);
    to << " HTTP/1.1\r\nHost: " << with.host << "\r\n";
    copy_fields(head.fields, (with.trusted ? kOfTrusted : kOfUntrusted) | announcements(head.framing), to);
    write_forwarding(head, with, to);
    write_framing(head.framing, to);
    write_connection(head, with, to);
    if (with.expect && head.expect_continue) to << "Expect: 100-continue\r\n";
    to << "\r\n";
    return to.text();
}

std::string_view write_response_head(const ResponseHead& head, const ClientResponse& with,
                                     std::span<char> room) {
    Writer to(room);
    to << "HTTP/1.1 " << static_cast<unsigned>(head.status) << ' ' << head.reason << "\r\n";
    copy_fields(head.fields, kNotCopied | with.drop | announcements(with.framing), to);
    if (!with.date.empty() && !head.fields.has(FieldId::date)) to.field("Date", with.date);
    to << with.extra;
    if (head.status == 101) {
        to << "Upgrade: " << head.upgrade << "\r\nConnection: Upgrade\r\n\r\n";
        return to.text();
    }
    write_framing(with.framing, to);
    // RFC 9110 §8.6: never in 1xx and 204.
    const bool announces = with.framing.kind == Framing::Kind::none && head.has_length &&
                           head.status >= 200 && head.status != 204;
    if (announces) to << "Content-Length: " << head.length << "\r\n";
    if (head.status >= 200) {
        if (!with.keep_alive)
            to << "Connection: close\r\n";
        else if (with.minor == 0)
            to << "Connection: keep-alive\r\n";
    }
    to << "\r\n";
    return to.text();
}

}  // namespace sluice::http
