#pragma once

#include <optional>
#include <string_view>

#include "service/http/head.h"
#include "service/http/path.h"
#include "service/limit/client_key.h"

namespace sluice::policy {

/// What rules and limits look at. Of one request, for one task; refers to its buffers.
class Request {
  public:
    Request(const http::RequestHead& of, std::string_view came_by, limit::Address from)
        : head(of), listener(came_by), client(from) {}
    Request(const Request&) = delete;

    /// The path in its normal form, made when it is first asked for.
    std::string_view path() const {
        if (!path_) path_.emplace(head.path);
        return path_->text();
    }

    const http::RequestHead& head;
    const std::string_view listener;  // the name of the listener that it came by
    const limit::Address client;

  private:
    mutable std::optional<http::NormalPath> path_;
};

}  // namespace sluice::policy
