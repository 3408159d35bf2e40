#pragma once

// Decisions about requests that somebody else holds: `/check` decides, and spends as the request would;
// `/explain` only tells what would happen.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tcp.h"
#include "runtime/time.h"
#include "service/admin/request.h"
#include "service/admin/router.h"
#include "service/http/fields.h"

namespace sluice::admin {

/// A request, as far as a decision about it needs to know it. Its views are of the call's buffer.
struct Question {
    std::string method = "GET";
    std::string host;       // with or without a port; empty: not said
    std::string uri = "/";  // a target: path and query, or an absolute URI, whose host counts then
    /// The client's address. Absent: whom `fields` name, the caller being a trusted proxy; else the caller
    /// itself.
    std::optional<std::string> client;
    std::optional<std::string> listener{};  // for explanations: the name of that which it came by
    const http::Fields* fields = nullptr;   // for rules and keys that look at them
    std::vector<std::pair<std::string, std::string>> more{};  // besides
    const runtime::Endpoint* caller = nullptr;
    std::function<bool()> caller_left{};  // as Request has it
};

/// What the request is answered with; 200: it may go on.
struct Decision {
    unsigned status = 200;
    std::string content_type{};
    std::string fields{};  // complete lines, each with its CRLF
    std::string body{};
};

/// A limit that applies to the request.
struct ExplainedLimit {
    std::string name;
    std::string algorithm;
    std::string mode;
    std::string key;  // as /stats/clients shows it
    std::uint64_t cost = 0;
    bool admits = false;
    std::uint64_t remaining = 0;  // now, before the request
    std::optional<runtime::Duration>
        wait{};  // until it would admit; absent when it does, and when it never will
};

struct Explanation {
    std::string client;
    std::string listener{};                      // that it was taken to have come by
    std::optional<std::size_t> route{};          // the position in `routes`; absent: none matches
    std::string upstream{};                      // empty: the route responds itself
    std::string verdict;                         // allowed, limited, delayed, denied, banned; none: no route
    std::optional<unsigned> status{};            // of an answer of our own
    std::string refused_by{};                    // a limit
    std::optional<std::uint64_t> retry_after{};  // what the answer tells, in seconds; not a ban to come
    std::vector<ExplainedLimit> limits{};
};

/// Both may park; the error says what is wrong with the question.
using Decide = std::function<std::expected<Decision, std::string>(const Question&)>;
using Explain = std::function<std::expected<Explanation, std::string>(const Question&)>;

/// What a proxy asks about the request that it holds: method, host and URI are those of X-Forwarded-Method,
/// -Host and -Uri, else of X-Original-Method, -Host, -URI or -URL, else the call's own. The error: a field is
/// there twice.
std::expected<Question, std::string> question_of_proxy(const Request& call);
/// What an operator asks, by the parameters listener, method, host, uri, ip, and header=NAME:VALUE as often
/// as needed.
std::expected<Question, std::string> question_of_operator(const Request& call);

/// `GET /check` of the admin listener: a proxy's question, whose parts parameters may tell instead.
Response check(const Decide& decide, const Request& call);
/// `GET /explain`.
Response explain(const Explain& explain, const Request& call);

/// The calls of a listener for decisions alone: any method, any path.
std::vector<Route> check_api(const Decide& decide);

}  // namespace sluice::admin
