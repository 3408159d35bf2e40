#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "service/admin/request.h"

namespace sluice::admin {

/// One call of the API. `path` may end in "{key}", which stands for all that is left of the path, and is not
/// empty.
struct Route {
    static constexpr std::string_view kAnyMethod = "*";

    std::string_view method;
    std::string_view path;
    std::function<Response(const Request&)> handle;
    bool open = false;   // needs no token
    bool heavy = false;  // computes for so long that it would keep a worker from others: not called by a task
    bool asks = false;  // without the token its answer is given all the same, as 401: a page that asks for it
};

/// A table of calls. Fixed once made; any task may use it.
class Router {
  public:
    explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

    /// The route of `request`, whose key is filled in; or the problem to answer with: 404, or 405 with
    /// `Allow`. HEAD goes where GET goes.
    struct Match {
        const Route* route = nullptr;
        Response otherwise;
    };
    Match match(Request& request) const;

  private:
    std::vector<Route> routes_;
};

}  // namespace sluice::admin
