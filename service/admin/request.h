#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tcp.h"
#include "runtime/time.h"
#include "service/http/fields.h"

namespace sluice::admin {

/// A call of the admin API, decoded. Its views are of the connection's buffer: they live until the answer is
/// made.
struct Request {
    std::string_view method;
    std::string path;        // percent-decoded; no query
    std::string_view query;  // as received, without the question mark
    std::string key;         // what {key} of the route stands for
    std::string body;

    const http::Fields* fields = nullptr;
    std::string_view target;                    // as received
    const runtime::Endpoint* caller = nullptr;  // who has called
    /// Whether who has called is gone: the connection was reset, or its end has come and no next call before
    /// it. For calls that take long; looks at the connection, and does not park. Empty: nobody knows.
    std::function<bool()> caller_left{};

    /// A field of the head by its name, in any case; the first of several. Empty: no such field.
    std::string_view field(std::string_view name) const;

    /// A parameter of the query, decoded; nullopt: absent or badly encoded.
    std::optional<std::string> parameter(std::string_view name) const;
    /// The same of all parameters of that name.
    std::vector<std::string> parameters(std::string_view name) const;
    /// What is wrong with the query of a call that takes these parameters and no other, where
    /// "header=NAME:VALUE" is that named header; nullopt: nothing.
    std::optional<std::string> wrong_parameter(std::span<const std::string_view> known) const;
};

/// The client of a streamed answer, for as long as its handler runs. Either says false when the client is
/// gone, or the server closes: then the handler returns.
struct Stream {
    std::function<bool(std::string_view piece)> send;
    /// Parks until `when`.
    std::function<bool(runtime::Time when)> wait_until;
};

struct Response {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> fields = {};
    std::string lines = {};  // more fields: complete lines, each with its CRLF

    /// Instead of a body: called once, and the connection ends with it.
    std::function<void(const Stream& stream)> stream = {};
};

/// An answer that says what went wrong (RFC 9457, as the proxy's own); `errors`: each of the things that did.
Response problem(unsigned status, std::string_view detail, std::span<const std::string> errors = {});

/// Decodes %XX; with `plus`, also + as a space (in queries). nullopt when an escape is broken.
std::optional<std::string> percent_decoded(std::string_view text, bool plus);

}  // namespace sluice::admin
