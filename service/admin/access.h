#pragma once

#include <string_view>

namespace sluice::admin {

/// Whether two strings are equal, in a time that depends on their lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// Whether the value of an Authorization field carries `token`: as `Bearer TOKEN` (RFC 6750), or as the
/// password of `Basic` (RFC 7617), for tools that know no other way. No answer of ours asks for the second: a
/// browser would keep it, and send it with whatever another page makes it ask here.
bool authorized(std::string_view authorization, std::string_view token);

/// Whether a call that changes something was made by a page of another origin: a browser lets any page on the
/// web post to an address that only this machine can reach. `origin` and `host` are the fields of that name.
bool from_elsewhere(std::string_view origin, std::string_view host);

/// Whether `host` is a name that anyone may let point to this machine (DNS rebinding): neither an address nor
/// localhost. To a browser, what then comes from here is that other page's own.
bool may_be_rebound(std::string_view host);

}  // namespace sluice::admin
