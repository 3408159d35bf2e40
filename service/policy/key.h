#pragma once

// Whom a limit counts a request under: the parts of `key`, made into one ClientKey.

#include <cstddef>
#include <cstdint>
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

    /// nullopt: a header, cookie or query parameter is missing, and the limit is to be skipped then. One that
    /// is there with several values counts the request under its address in any case: which of them the
    /// upstream takes is not known, and whoever adds one must not be somebody new. `route`: the name of the
    /// request's route, Route::name.
    std::optional<limit::ClientKey> make(const Request& request, std::uint64_t route) const;

    /// What the keys are made of, "ip" or "header:X-Api-Key+path": before the digest in listings.
    const std::string& description() const { return description_; }
    limit::Prefixes prefixes() const { return prefixes_; }
    /// Whether a key may be an address alone.
    bool may_be_address() const;

  private:
    limit::ClientKey address_key(const limit::Address& client) const;

    std::vector<config::KeyPart> parts_;
    config::Missing missing_;
    limit::Prefixes prefixes_;
    limit::DigestSecret secret_;
    std::string description_;
};

/// What a request has under a name.
struct NamedValue {
    enum class Found : std::uint8_t { none, one, several };

    std::string_view text{};  // as it was sent, with its escapes
    Found found = Found::none;
};

/// That cookie in all Cookie fields, without quotes around it; that parameter in a query. Repeats that are
/// the same once their escapes are undone are one value. The name of a parameter may come escaped.
NamedValue cookie(const http::Fields& fields, std::string_view name);
NamedValue query_parameter(std::string_view query, std::string_view name);

}  // namespace sluice::policy
