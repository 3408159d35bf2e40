#pragma once

// Whether a rule is for a request: the `match` of a route or a limit, compiled. Every condition that is there
// must hold. Paths are compared in their normal form (http/path.h), those of the configuration as well.

#include <memory>

#include "config/model.h"
#include "service/policy/request.h"

namespace re2 {
class RE2;
}

namespace sluice::policy {

class Matcher {
  public:
    explicit Matcher(const config::Match& match);
    Matcher(Matcher&&) noexcept;
    ~Matcher();

    /// No allocation; a regular expression costs time linear in the path.
    bool matches(const Request& request) const;

  private:
    bool conditions_hold(const Request& request) const;

    config::Match match_;
    bool everything_;
    std::unique_ptr<const re2::RE2> regex_;
};

}  // namespace sluice::policy
