#include "tests/fuzz/exchange/judge.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "service/http/body.h"
#include "service/http/read_head.h"
#include "tests/fuzz/exchange/require.h"

namespace sluice::fuzz {

namespace {

constexpr http::HeadLimits kLimits{.bytes = 16 * 1024, .fields = 100};

std::string start_of(const http::RequestHead& head) {
    const bool rooted = head.origin.starts_with('/') || head.origin == "*";
    return std::string(head.method_text) + (rooted ? " " : " /") + std::string(head.origin);
}

/// Takes the body off the front of `bytes`; false: malformed, and what stood before that is in the message.
bool take_body(http::Framing framing, std::string& bytes, bool ended, Message& message) {
    http::BodyReader reader(framing);
    std::size_t taken = 0;
    // Byte by byte, as it may come: else nothing is told of a piece that is malformed at its end.
    while (!reader.done() && taken < bytes.size()) {
        const auto piece = reader.feed({bytes.data() + taken, 1});
        if (!piece) return false;
        message.body.append(piece->data.data(), piece->data.size());
        taken += piece->consumed;
    }
    bytes.erase(0, taken);
    message.complete = reader.done() || (ended && reader.may_end());
    return true;
}

/// Whether an answer that is complete to the client is the proxy's own, which are all errors.
bool is_ours(const Message& answer) {
    return answer.status >= 400 && (answer.method == http::Method::head ||
                                    answer.body.starts_with(R"({"type":"about:blank","title":)"));
}

}  // namespace

bool read_requests(std::string bytes, std::vector<Message>& found) {
    while (!bytes.empty()) {
        http::HeadScan scan;
        http::RequestHead head;
        const auto size = http::read_request_head(bytes, scan, kLimits, head);
        if (!size) return false;
        if (*size == 0) return true;
        Message& message = found.emplace_back(head.method, start_of(head));
        const http::Framing framing = head.framing;
        bytes.erase(0, *size);  // the views of `head` are void
        if (!take_body(framing, bytes, false, message)) return false;
        if (!message.complete) return true;
    }
    return true;
}

std::vector<Message> whole_answers(std::string bytes, http::Method method, bool ends_in_order) {
    std::vector<Message> found;
    while (!bytes.empty()) {
        http::HeadScan scan;
        http::ResponseHead head;
        const auto size =
            http::read_response_head(bytes, scan, {.bytes = 64 * 1024, .fields = 256}, method, head);
        if (!size || *size == 0) break;
        Message answer{.method = method, .status = head.status};
        const http::Framing framing = head.framing;
        const bool interim = head.interim();
        bytes.erase(0, *size);
        if (interim) continue;
        if (!take_body(framing, bytes, ends_in_order, answer) || !answer.complete) break;
        found.push_back(std::move(answer));
    }
    return found;
}

void check_answers(std::string bytes, const std::vector<Message>& asked, const std::vector<Message>& whole,
                   bool cut) {
    std::size_t finals = 0;
    while (!bytes.empty()) {
        const http::Method method = finals < asked.size() ? asked[finals].method : http::Method::get;
        http::HeadScan scan;
        http::ResponseHead head;
        const auto size =
            http::read_response_head(bytes, scan, {.bytes = 64 * 1024, .fields = 256}, method, head);
        require(size.has_value());
        if (*size == 0) return require(cut);
        const int status = head.status;
        const http::Framing framing = head.framing;
        const bool interim = head.interim();
        bytes.erase(0, *size);
        if (status == 101) return;  // what follows is no HTTP
        if (interim) continue;
        ++finals;
        Message answer{.method = method, .status = status};
        require(take_body(framing, bytes, !cut, answer));
        if (!answer.complete) return require(cut && bytes.empty());
        require(is_ours(answer) || std::any_of(whole.begin(), whole.end(), [&](const Message& one) {
                    return one.status == answer.status && one.body == answer.body;
                }));
        // One answer for each request, and one for what is none.
        require(finals <= asked.size() + 1);
    }
}

void check_forwarded(const std::vector<std::string>& connections, const std::vector<Message>& asked) {
    std::size_t next = 0;
    for (const std::string& bytes : connections) {
        std::vector<Message> got;
        const std::size_t tunnel = bytes.find("\r\nUpgrade:");
        require(read_requests(bytes, got) || tunnel != bytes.npos);
        for (const Message& message : got) {
            const auto same = [&](const Message& one) {
                return one.start == message.start && one.body.starts_with(message.body) &&
                       (!message.complete || (one.complete && one.body == message.body));
            };
            const auto at =
                std::find_if(asked.begin() + static_cast<std::ptrdiff_t>(next), asked.end(), same);
            require(at != asked.end() || tunnel != bytes.npos);
            if (at == asked.end()) break;
            next = static_cast<std::size_t>(at - asked.begin());
        }
    }
}

}  // namespace sluice::fuzz
