#pragma once

// Which fields are of one connection only, and which a message is not to bring along (RFC 9110 §7.6.1).

#include <expected>
#include <string_view>

#include "service/http/fields.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// Fields that never go on as they came: those of the connection, and the length, which is always written
/// anew.
inline constexpr FieldSet kNotCopied{
    FieldId::connection,
    FieldId::http2_settings,
    FieldId::keep_alive,
    FieldId::proxy_authenticate,
    FieldId::proxy_authentication_info,
    FieldId::proxy_authorization,
    FieldId::proxy_connection,
    FieldId::te,
    FieldId::transfer_encoding,
    FieldId::upgrade,
    FieldId::content_length,
};

/// Fields by which a client could pass for another. They go upstream only from a trusted peer.
inline constexpr FieldSet kForwarding{
    FieldId::forwarded,        FieldId::x_forwarded,       FieldId::x_forwarded_for,
    FieldId::x_forwarded_host, FieldId::x_forwarded_proto, FieldId::x_request_id,
};

/// Fields that Connection cannot name away, because what the proxy says in them must reach the other side
/// (CVE-2022-31813, CVE-2024-45410).
inline constexpr FieldSet kUnnameable = kForwarding | FieldSet{FieldId::host, FieldId::via, FieldId::expect};

/// What the Connection fields of a head say.
struct ConnectionOptions {
    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    bool names = false;  // any field that is not of the connection anyway
};

/// Reads all Connection fields, and marks as `hop` the fields that they name.
std::expected<ConnectionOptions, Refusal> read_connection(Fields& fields);

/// Whether a field of that name may stand in a trailer that is passed on: it must change nothing about
/// framing, routing, trust or the handling of the message (RFC 9110 §6.5.1).
bool may_trail(std::string_view name);

}  // namespace sluice::http
