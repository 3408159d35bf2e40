// Any bytes as the head of a request: read alike however they are cut, and what is accepted goes upstream as
// a head that our own reader, which is strict, accepts again and reads the same. Boost.Beast, which is less
// strict, reads the same fields.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "service/http/read_head.h"
#include "service/http/write_head.h"
#include "tests/service/http/beast_fields.h"

namespace {

using namespace sluice::http;

void require(bool holds) {
    if (!holds) std::abort();
}

bool within(std::string_view part, std::string_view whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_values(const RequestHead& head, std::string_view bytes) {
    for (const std::string_view part :
         {head.method_text, head.target, head.query, head.authority, head.host, head.upgrade})
        require(within(part, bytes));
    require(!head.method_text.empty() && !head.path.empty());
    require(head.minor == 0 || !head.host.empty());
    for (const Field& field : head.fields) {
        require(!field.name.empty() && within(field.name, bytes) && within(field.value, bytes));
        require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    }
}

void check_fields(const RequestHead& head, std::string_view bytes) {
    const auto beast = test::BeastFields::read(bytes.substr(bytes.find("\r\n") + 2));
    require(beast && beast->size() == head.fields.size());
    for (std::size_t i = 0; i < beast->size(); ++i) {
        const Field& field = head.fields.begin()[i];
        require(field.name == (*beast)[i].first && field.value == (*beast)[i].second);
    }
}

void check_forwarded(const RequestHead& head, bool trusted) {
    const UpstreamRequest with{.origin = head.origin,
                               .host = head.authority.empty() ? "upstream" : head.authority,
                               .peer = "192.0.2.1",
                               .proto = "http",
                               .request_id = "id",
                               .trusted = trusted,
                               .upgrade = true,
                               .expect = true};
    std::array<char, 64 * 1024> room;
    const std::string_view text = write_request_head(head, with, room);
    require(!text.empty());
    HeadScan scan;
    RequestHead again;
    const auto size = read_request_head(text, scan, {.bytes = room.size(), .fields = Fields::kMax}, again);
    require(size && *size == text.size());
    require(again.method_text == head.method_text && again.framing.kind == head.framing.kind &&
            again.framing.length == head.framing.length && again.path == head.path);
    require(again.query == head.query && again.upgrade == head.upgrade &&
            again.te_trailers == head.te_trailers);
    require(again.expect_continue == head.expect_continue && again.keep_alive &&
            !again.fields.has(FieldId::lookalike));
    require(again.fields.count(FieldId::x_forwarded_for) == 1);
    if (!trusted) require(again.fields.value(FieldId::x_forwarded_for) == "192.0.2.1");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    const HeadLimits limits{.bytes = 4096, .fields = 64};

    HeadScan scan;
    RequestHead head;
    const auto whole = read_request_head(bytes, scan, limits, head);

    HeadScan stepwise_scan;
    RequestHead stepwise;
    for (std::size_t filled = 1; filled <= size; ++filled) {
        const auto result =
            read_request_head(std::string_view(bytes).substr(0, filled), stepwise_scan, limits, stepwise);
        if (!result || *result > 0) {
            require(result == whole);
            break;
        }
        require(filled < size || result == whole);
    }
    if (!whole || *whole == 0) return 0;

    require(*whole <= std::min(size, limits.bytes));
    check_values(head, bytes);
    check_fields(head, std::string_view(bytes).substr(scan.start(), *whole - scan.start()));
    check_forwarded(head, false);
    check_forwarded(head, true);
    return 0;
}
