#pragma once

// Whom a limit counts a request under: the parts of `key`, made into one ClientKey.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "service/limit/client_key.h"
#include "service/limit/digest.h"
#include "service/policy/request.h"

namespace sluice::policy {

class KeyMaker {
  public:
    KeyMaker(const config::Limit& limit, const config::Client& client, const limit::DigestSecret& secret);

    /// nullopt: a header, cookie or query parameter is missing, and the limit is to be skipped then. `route`:
    /// the name of the request's route, Route::name.
    std::optional<limit::ClientKey> make(const Request& request, std::uint64_t route) const;

    /// What the keys are made of, "ip" or "header:X-Api-Key+path": before the digest in listings.
    const std::string& description() const { return description_; }
    limit::Prefixes prefixes() const { return prefixes_; }

  private:
    std::vector<config::KeyPart> parts_;
    config::Missing missing_;
    limit::Prefixes prefixes_;
    limit::DigestSecret secret_;
    std::string description_;
};

/// The first value of that cookie in the Cookie fields, or of that parameter in a query, as it was sent;
/// nullopt when it is not there. The name of a parameter may come escaped.
std::optional<std::string_view> cookie(const http::Fields& fields, std::string_view name);
std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name);

}  // namespace sluice::policy
