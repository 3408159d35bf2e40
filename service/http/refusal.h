#pragma once

// Why bytes of a peer are no message. From a client, `status` is what it is answered; from an upstream, the
// proxy answers 502 whatever stands here. The connection always closes behind a refusal: where the next
// message would begin is not known.

#include <string_view>

namespace sluice::http {

struct Refusal {
    int status;               // 400, 413, 417, 431, 501 or 505
    std::string_view reason;  // static text, the same for the same cause: for the answer's body and the log

    bool operator==(const Refusal&) const = default;
};

}  // namespace sluice::http
