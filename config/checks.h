#pragma once

// What the words of a configuration must be beyond being strings: the complaint, or nothing. For
// Object::field().

#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

using Complaint = std::optional<std::string>;

/// Of ASCII letters.
bool same_ignoring_case(std::string_view one, std::string_view other);

/// A name that the user gives: it is shown in answers, metrics and logs.
Complaint wrong_name(const std::string& text);

/// A token of HTTP (RFC 9110 §5.6.2): the name of a field, a cookie or a method.
bool is_token(std::string_view text);
Complaint wrong_field_name(std::string_view text);
Complaint wrong_field_value(std::string_view text);
Complaint wrong_method(const std::string& text);

/// A host to compare with, without a port.
Complaint wrong_host(const std::string& text);
/// The Host field towards an upstream: a host, and a port if need be.
Complaint wrong_authority(const std::string& text);

/// A path, or the beginning of one, as clients send it: what is not escaped there never matches.
Complaint wrong_path(const std::string& text);
/// The same of a rule: it has no wildcards, and a path that ends in a star is hardly meant.
Complaint wrong_path_of_rule(const std::string& text);
Complaint wrong_strip_prefix(const std::string& text);
/// What a health check asks for: a path, and a query if need be, as they are sent.
Complaint wrong_target(const std::string& text);

/// A token that goes behind "Bearer ".
Complaint wrong_admin_token(const std::string& text);
Complaint wrong_content_type(const std::string& text);
Complaint wrong_redis_url(const std::string& text);

/// A file's name.
Complaint wrong_file(const std::string& text);

}  // namespace sluice::config
