// Any bytes as a chunked body: read alike however they are cut, and alike by a reader that is slow and
// obvious; what was read, framed anew, is read back as it was. The first byte says how the bytes are cut.

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>

#include "service/http/body.h"

namespace {

using namespace sluice::http;

constexpr BodyLimits kLimits{.bytes = 4096, .trailer_bytes = 512};

void require(bool holds) {
    if (!holds) std::abort();
}

struct Outcome {
    std::string data;
    std::string trailers;
    std::size_t consumed = 0;
    bool done = false;
    std::optional<Refusal> refusal;
};

Outcome read(std::string bytes, std::size_t step) {
    Outcome outcome;
    BodyReader body(Framing::chunked(), kLimits);
    while (!body.done() && outcome.consumed < bytes.size()) {
        const auto raw =
            std::span(bytes).subspan(outcome.consumed, std::min(step, bytes.size() - outcome.consumed));
        const auto piece = body.feed(raw);
        if (!piece) {
            outcome.refusal = piece.error();
            return outcome;
        }
        require(piece->consumed == raw.size() || piece->done);
        require(piece->data.size() <= piece->consumed);
        outcome.data.append(piece->data.begin(), piece->data.end());
        outcome.consumed += piece->consumed;
    }
    outcome.done = body.done();
    require(body.bytes() == outcome.data.size());
    if (outcome.done) outcome.trailers = body.trailers();
    return outcome;
}

// The data of a body whose end the reader claims to have found, straight from the grammar of RFC 9112 §7.1.
std::string obvious(std::string_view bytes) {
    std::string data;
    while (true) {
        const std::size_t end = bytes.find("\r\n");
        require(end != std::string_view::npos);
        std::string digits(bytes.substr(0, std::min(end, bytes.find(';'))));
        if (digits.size() < end) digits.erase(digits.find_last_not_of(" \t") + 1);
        require(!digits.empty() && digits.size() <= 16);
        require(digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos);
        const std::size_t n = std::stoull(digits, nullptr, 16);
        bytes.remove_prefix(end + 2);
        if (n == 0) return data;
        require(bytes.size() >= n + 2 && bytes.substr(n, 2) == "\r\n");
        data += bytes.substr(0, n);
        bytes.remove_prefix(n + 2);
    }
}

void check_framed_anew(const Outcome& outcome) {
    std::string framed;
    if (!outcome.data.empty())
        framed.append(ChunkPrefix(outcome.data.size()).text()).append(outcome.data).append(kCrlf);
    framed.append(kLastChunk).append(outcome.trailers).append(kCrlf);
    const Outcome again = read(framed, framed.size());
    require(again.done && again.data == outcome.data && again.trailers == outcome.trailers);
    require(again.consumed == framed.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::size_t step = 1 + data[0] % 32;
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

    const Outcome whole = read(bytes, bytes.size());
    const Outcome stepwise = read(bytes, step);
    require(stepwise.refusal == whole.refusal && stepwise.done == whole.done);
    if (whole.refusal) return 0;
    require(stepwise.data == whole.data && stepwise.trailers == whole.trailers &&
            stepwise.consumed == whole.consumed);
    if (!whole.done) return 0;
    require(whole.data == obvious(bytes));
    check_framed_anew(whole);
    return 0;
}
