#pragma once

// The heads of messages, as read: values whose views point into the buffer that the bytes were read into.
// They live as long as that buffer is left alone. Made by read_head.h, and by then checked: code behind it
// may trust every member.

#include <cstdint>
#include <string_view>

#include "service/http/fields.h"

namespace sluice::http {

/// How the end of a body is found (RFC 9112 §6.3).
struct Framing {
    enum class Kind : std::uint8_t { none, length, chunked, until_close };

    Kind kind = Kind::none;
    std::uint64_t length = 0;  // kind == length
    /// Connection names fields of this head: those of a trailer are not passed on, as it may be one of them
    /// (RFC 9110 §7.6.1).
    bool drop_trailers = false;

    static constexpr Framing none() { return {}; }
    static constexpr Framing of_length(std::uint64_t n) { return {Kind::length, n}; }
    static constexpr Framing chunked() { return {Kind::chunked, 0}; }
    static constexpr Framing until_close() { return {Kind::until_close, 0}; }

    /// Whether there may be bytes behind the head.
    constexpr bool has_body() const { return kind == Kind::length ? length > 0 : kind != Kind::none; }
    bool operator==(const Framing&) const = default;
};

/// `other`: any token that is not listed; its text is in RequestHead::method_text.
enum class Method : std::uint8_t { other, get, head, post, put, delete_, options, patch, trace };

/// Methods whose repetition does no more than doing it once (RFC 9110 §9.2.2).
constexpr bool is_idempotent(Method method) {
    return method != Method::other && method != Method::post && method != Method::patch;
}

struct RequestHead {
    Method method = Method::other;
    std::string_view method_text;

    std::string_view target;  // as received
    /// What the upstream is asked for: path and query of the target, or `*`. May be empty or begin with `?`
    /// (an absolute target without a path); write_head puts the `/` before it.
    std::string_view origin;
    std::string_view path;   // of origin, as received: nothing is decoded. `/` when the target had none
    std::string_view query;  // behind the first `?`, without it
    /// Whom the request is for: the target's authority, else Host. Empty only in HTTP/1.0 without Host.
    std::string_view authority;
    std::string_view host;  // of it, without the port; IPv6 in its brackets

    int minor = 1;  // of the version: 0, or 1 for 1.1 and above
    Framing framing;
    bool keep_alive = true;        // the client would go on with this connection
    bool expect_continue = false;  // it waits for a 100 before it sends the body
    bool te_trailers = false;      // it can take trailers
    /// The protocol to change to, if the client asks for one that we pass on; h2c never is. Empty: none.
    std::string_view upgrade;

    Fields fields;
};

struct ResponseHead {
    int status = 0;
    std::string_view reason;
    int minor = 1;
    Framing framing;         // of what follows this head, the method of the request being known
    bool keep_alive = true;  // the upstream would go on with this connection
    /// Content-Length as it was sent, even where no body follows (an answer to HEAD, 304).
    bool has_length = false;
    std::uint64_t length = 0;
    std::string_view upgrade;  // of a 101: the protocol chosen

    Fields fields;

    /// 100, 102, 103, …: another head follows. Not so 101, which ends HTTP.
    bool interim() const { return status < 200 && status != 101; }
};

}  // namespace sluice::http
