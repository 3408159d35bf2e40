// What one message costs in reading and writing, without any system call.

#include <array>
#include <string>

#include <benchmark/benchmark.h>

#include "service/http/body.h"
#include "service/http/read_head.h"
#include "service/http/reply.h"
#include "service/http/write_head.h"

namespace {

using namespace sluice::http;

const std::string kWrk = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const std::string kBrowser =
    "GET /api/v1/items?page=2&sort=name HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    "Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

const std::string kAnswer =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: "
    "text/html\r\n"
    "Content-Length: 612\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n"
    "ETag: \"6391c2b4-264\"\r\nAccept-Ranges: bytes\r\n\r\n";

void read_request(benchmark::State& state, const std::string& bytes) {
    for (auto _ : state) {
        HeadScan scan;
        RequestHead head;
        benchmark::DoNotOptimize(read_request_head(bytes, scan, {}, head));
        benchmark::DoNotOptimize(head.path.data());
    }
}

void write_request(benchmark::State& state, const std::string& bytes) {
    HeadScan scan;
    RequestHead head;
    if (!read_request_head(bytes, scan, {}, head)) return state.SkipWithError("refused");
    const UpstreamRequest with{.origin = head.origin,
                               .host = head.authority,
                               .peer = "192.0.2.1",
                               .proto = "http",
                               .request_id = "0123456789abcdef0123456789abcdef"};
    std::array<char, 4096> room;
    for (auto _ : state) benchmark::DoNotOptimize(write_request_head(head, with, room).data());
}

void read_answer(benchmark::State& state) {
    for (auto _ : state) {
        HeadScan scan;
        ResponseHead head;
        benchmark::DoNotOptimize(read_response_head(kAnswer, scan, {}, Method::get, head));
        benchmark::DoNotOptimize(head.status);
    }
}

void write_answer(benchmark::State& state) {
    HeadScan scan;
    ResponseHead head;
    if (!read_response_head(kAnswer, scan, {}, Method::get, head)) return state.SkipWithError("refused");
    const ClientResponse with{.framing = head.framing, .extra = "RateLimit: \"per-ip\";r=19;t=1\r\n"};
    std::array<char, 4096> room;
    for (auto _ : state) benchmark::DoNotOptimize(write_response_head(head, with, room).data());
}

void write_refusal(benchmark::State& state) {
    std::array<char, 1024> room;
    const Reply reply{.status = 429, .extra = "Retry-After: 3\r\n", .date = "Sun, 06 Nov 1994 08:49:37 GMT"};
    for (auto _ : state)
        benchmark::DoNotOptimize(write_problem(reply, "the limit per-ip is used up", room).data());
}

// 64 KiB of body in chunks of range(0); decoding alters the bytes, so each round begins with a copy, which is
// timed alone by `copy`.
std::string chunked(std::size_t size) {
    std::string bytes;
    for (std::size_t sent = 0; sent < 64 * 1024; sent += size)
        bytes.append(ChunkPrefix(size).text()).append(size, 'x').append(kCrlf);
    return bytes + "0\r\n\r\n";
}

void unchunk(benchmark::State& state) {
    const std::string bytes = chunked(static_cast<std::size_t>(state.range(0)));
    std::string copy = bytes;
    for (auto _ : state) {
        copy = bytes;
        BodyReader body(Framing::chunked());
        benchmark::DoNotOptimize(body.feed(copy));
    }
    state.SetBytesProcessed(state.iterations() * 64 * 1024);
}

void copy(benchmark::State& state) {
    const std::string bytes = chunked(4096);
    std::string to = bytes;
    for (auto _ : state) {
        to = bytes;
        benchmark::DoNotOptimize(to.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * 64 * 1024);
}

BENCHMARK_CAPTURE(read_request, wrk, kWrk);
BENCHMARK_CAPTURE(read_request, browser, kBrowser);
BENCHMARK_CAPTURE(write_request, wrk, kWrk);
BENCHMARK_CAPTURE(write_request, browser, kBrowser);
BENCHMARK(read_answer);
BENCHMARK(write_answer);
BENCHMARK(write_refusal);
BENCHMARK(unchunk)->Arg(64)->Arg(4096)->Arg(16384);
BENCHMARK(copy);

}  // namespace

BENCHMARK_MAIN();
