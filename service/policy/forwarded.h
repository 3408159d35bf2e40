#pragma once

// The fields in which proxies list who a request came from, element by element from the right:
// X-Forwarded-For, and Forwarded (RFC 7239).
//
// From the right because only what is there is known to be a proxy's of ours: it appended to what came, and
// what came may be anything. A quotation mark that somebody left open on the left must not swallow what
// stands behind.

#include <optional>
#include <string_view>

#include "service/http/fields.h"
#include "service/limit/client_key.h"

namespace sluice::policy {

/// The elements of all fields of one kind, as one list (RFC 9110 §5.3), the last first. They may be empty.
class ElementsFromTheRight {
  public:
    /// `quotes`: a comma between quotation marks is no end of an element.
    ElementsFromTheRight(const http::Fields& fields, http::FieldId id, bool quotes)
        : fields_(fields), line_(fields.end()), id_(id), quotes_(quotes) {}

    std::optional<std::string_view> next();

  private:
    const http::Fields& fields_;
    const http::Field* line_;
    std::string_view rest_;
    const http::FieldId id_;
    const bool quotes_;
    bool more_ = false;
};

/// The address that `for` gives in an element of Forwarded: `for=192.0.2.1`,
/// `for="[2001:db8::1]:4711";proto=http`. A port may be hidden (`:_x`). False: the element is malformed, has
/// no `for` or two, or it is no address (`unknown`, `_hidden`). Addresses that should have been quoted and
/// were not are taken: it leaves no doubt.
bool parse_forwarded_element(std::string_view element, limit::Address& address);

}  // namespace sluice::policy
