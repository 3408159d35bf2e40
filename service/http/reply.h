#pragma once

// Answers of the proxy itself. Made ready while compiling where that is possible, else written into memory of
// the caller's; nothing is allocated.

#include <span>
#include <string_view>

namespace sluice::http {

/// The reason phrase of a status, RFC 9110 §15; "Unknown" for one that is not registered.
std::string_view reason_phrase(int status);

struct Reply {
    int status = 500;
    std::string_view content_type;  // empty: no such field
    std::string_view extra;         // complete lines, each with its CRLF: Retry-After, rate-limit fields, …
    std::string_view date;          // empty: no Date field
    std::string_view body;
    bool keep_alive = false;
    int minor = 1;         // of the client's version
    bool to_head = false;  // answers HEAD: the body is announced and not sent
};

/// The whole answer at the front of `room`; empty: it does not fit.
std::string_view write_reply(const Reply& reply, std::span<char> room);

/// The same with an RFC 9457 body made of status, title and `detail` (any text; escaped as JSON asks, cut at
/// 140 bytes). content_type and body of `reply` are not looked at.
std::string_view write_problem(Reply reply, std::string_view detail, std::span<char> room);

/// All there is to say to a connection beyond max.connections, complete: 503 with Retry-After, and close.
inline constexpr std::string_view kOverloaded =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Type: application/problem+json\r\n"
    "Content-Length: 97\r\n"
    "Retry-After: 1\r\n"
    "Connection: close\r\n"
    "\r\n"
    R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections"})";

/// The same while memory is short.
inline constexpr std::string_view kLowOnMemory =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Type: application/problem+json\r\n"
    "Content-Length: 90\r\n"
    "Retry-After: 1\r\n"
    "Connection: close\r\n"
    "\r\n"
    R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"low on memory"})";

/// All there is to say to a client that speaks HTTP in the clear to a port for TLS, complete: 400, and close.
inline constexpr std::string_view kPlainHttp =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: application/problem+json\r\n"
    "Content-Length: 99\r\n"
    "Connection: close\r\n"
    "\r\n"
    R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"plain HTTP where TLS is spoken"})";

/// `HTTP/1.1 100 Continue`, complete.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace sluice::http
