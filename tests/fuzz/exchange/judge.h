#pragma once

#include <string>
#include <vector>

#include "service/http/head.h"

// A strict reader of both ends of an exchange, and what it requires of what the proxy made of it.
namespace sluice::fuzz {

/// One message as a strict reader of our own found it.
struct Message {
    http::Method method = http::Method::other;
    std::string start;  // method and origin; of an answer nothing
    int status = 0;
    std::string body;
    bool complete = false;
};

/// The requests in `bytes`, up to the first that is malformed or cut short; false: something was malformed.
bool read_requests(std::string bytes, std::vector<Message>& found);

/// The final answers that are whole among what one connection of the upstream's sends to a request.
std::vector<Message> whole_answers(std::string bytes, http::Method method, bool ends_in_order);

/// Checks what the client got against what it asked and what the upstream's whole answers were; what is cut
/// short may be, but not malformed.
void check_answers(std::string bytes, const std::vector<Message>& asked, const std::vector<Message>& whole,
                   bool cut);

/// Each request that came whole to the upstream is the client's next; again the same after a failure.
void check_forwarded(const std::vector<std::string>& connections, const std::vector<Message>& asked);

}  // namespace sluice::fuzz
