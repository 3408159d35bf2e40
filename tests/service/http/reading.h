#pragma once

// Reads heads and bodies as they would arrive: at once, or one byte at a time, which must make no difference.

#include <optional>
#include <string>
#include <string_view>

#include "service/http/body.h"
#include "service/http/read_head.h"

namespace sluice::http::test {

/// What came of reading a head. The head's views point into `bytes`, so this neither copies nor moves.
template <class Head>
struct Read {
    std::string bytes;
    Head head;
    std::size_t size = 0;  // 0: more is needed
    std::optional<Refusal> refusal;

    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;

    int status() const { return refusal ? refusal->status : size > 0 ? 0 : -1; }
    std::string_view behind() const { return std::string_view(bytes).substr(size); }

    /// `read(bytes, scan, head)` is given `step` bytes more each time, until it is content or refuses.
    template <class F>
    Read(std::string_view text, std::size_t step, F&& read) : bytes(text) {
        HeadScan scan;
        for (std::size_t filled = 0; filled < bytes.size() && size == 0 && !refusal;) {
            filled = std::min(bytes.size(), filled + step);
            const auto result = read(std::string_view(bytes).substr(0, filled), scan, head);
            if (result)
                size = *result;
            else
                refusal = result.error();
        }
    }
};

inline Read<RequestHead> read_request(std::string_view bytes, const HeadLimits& limits = {},
                                      std::size_t step = std::string_view::npos / 2) {
    return {bytes, step, [&](std::string_view so_far, HeadScan& scan, RequestHead& head) {
                return read_request_head(so_far, scan, limits, head);
            }};
}

inline Read<ResponseHead> read_response(std::string_view bytes, Method method = Method::get,
                                        std::size_t step = std::string_view::npos / 2) {
    return {bytes, step, [&](std::string_view so_far, HeadScan& scan, ResponseHead& head) {
                return read_response_head(so_far, scan, {}, method, head);
            }};
}

/// What came of reading a body.
struct ReadBody {
    std::string data;
    std::string trailers;
    std::size_t consumed = 0;
    bool done = false;
    std::optional<Refusal> refusal;

    int status() const { return refusal ? refusal->status : done ? 0 : -1; }
    bool operator==(const ReadBody&) const = default;
};

inline ReadBody read_body(Framing framing, std::string bytes, const BodyLimits& limits = {},
                          std::size_t step = std::string_view::npos / 2) {
    ReadBody read;
    BodyReader body(framing, limits);
    while (!body.done() && read.consumed < bytes.size()) {
        const auto piece =
            body.feed(std::span(bytes).subspan(read.consumed, std::min(step, bytes.size() - read.consumed)));
        if (!piece) {
            read.refusal = piece.error();
            return read;
        }
        read.data.append(piece->data.begin(), piece->data.end());
        read.consumed += piece->consumed;
    }
    read.done = body.done();
    if (read.done) read.trailers = body.trailers();
    return read;
}

}  // namespace sluice::http::test
