// Any bytes as the head of an answer: read alike however they are cut, and what is accepted goes to the
// client as a head that our own reader accepts again, with the framing that was chosen for it.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "service/http/read_head.h"
#include "service/http/write_head.h"

namespace {

using namespace sluice::http;

void require(bool holds) {
    if (!holds) std::abort();
}

void check_passed_on(const ResponseHead& head, Method method) {
    std::array<char, 64 * 1024> room;
    const ClientResponse with{.framing = head.framing,
                              .keep_alive = head.framing.kind != Framing::Kind::until_close,
                              .drop = {FieldId::ratelimit},
                              .extra = "RateLimit: \"a\";r=1;t=1\r\n",
                              .date = "Sun, 06 Nov 1994 08:49:37 GMT"};
    const std::string_view text = write_response_head(head, with, room);
    require(!text.empty());
    HeadScan scan;
    ResponseHead again;
    const auto size =
        read_response_head(text, scan, {.bytes = room.size(), .fields = Fields::kMax}, method, again);
    require(size && *size == text.size());
    require(again.status == head.status && again.reason == head.reason &&
            again.framing.kind == head.framing.kind && again.framing.length == head.framing.length);
    require(again.fields.count(FieldId::ratelimit) == 1 && again.fields.has(FieldId::date));
    if (head.status >= 200) require(again.keep_alive == with.keep_alive);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Method method = data[0] == 'H' && size % 2 ? Method::head : Method::get;
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    const HeadLimits limits{.bytes = 4096, .fields = 64};

    HeadScan scan;
    ResponseHead head;
    const auto whole = read_response_head(bytes, scan, limits, method, head);

    HeadScan stepwise_scan;
    ResponseHead stepwise;
    for (std::size_t filled = 1; filled <= size; ++filled) {
        const auto result = read_response_head(std::string_view(bytes).substr(0, filled), stepwise_scan,
                                               limits, method, stepwise);
        if (!result || *result > 0) {
            require(result == whole);
            break;
        }
        require(filled < size || result == whole);
    }
    if (whole && *whole > 0) check_passed_on(head, method);
    return 0;
}
