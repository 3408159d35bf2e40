#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <utility>
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
    /// The parameters that it takes, as Request::wrong_parameter() has them. Absent: it takes any, since
    /// others than operators call it, who may add their own.
    std::optional<std::vector<std::string_view>> parameters{};
};

/// `route`, taking these parameters and no other.
inline Route taking(std::vector<std::string_view> parameters, Route route) {
    route.parameters = std::move(parameters);
    return route;
}

/// A table of calls. Fixed once made; any task may use it.
class Router {
  public:
    explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

    /// The route of `request`, whose key is filled in; or the problem to answer with: 404, 405 with `Allow`,
    /// or 400 for a parameter that the call does not take. HEAD goes where GET goes.
    struct Match {
        const Route* route = nullptr;
        Response otherwise;
    };
    Match match(Request& request) const;

  private:
    std::vector<Route> routes_;
};

}  // namespace sluice::admin
