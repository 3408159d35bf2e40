#pragma once

// How each section of a configuration is read: one read() for each struct of the model, as reader.h
// describes. A section checks what it can see of itself; what needs the rest of the file is in validate.h.

#include "config/model.h"
#include "config/reader.h"

namespace sluice::config {

void read(Reader& reader, const Value& value, Config& out);

void read(Reader& reader, const Value& value, Listen& out);
/// One entry alone or an array of them.
void read_listen(Reader& reader, const Value& value, std::vector<Listen>& out);
void read_listen_address(Reader& reader, const Value& value, Address& out);

/// The shorthand: the address of the only server of an upstream named "default".
void read_upstream_shorthand(Reader& reader, const Value& value, Upstream& out);
void read_upstreams(Reader& reader, const Value& value, std::vector<Upstream>& out);

void read(Reader& reader, const Value& value, Match& out);
void read(Reader& reader, const Value& value, Route& out);

void read(Reader& reader, const Value& value, KeyPart& out);
void read(Reader& reader, const Value& value, Limit& out);
void read(Reader& reader, const Value& value, Cost& out);

void read(Reader& reader, const Value& value, Client& out);
void read(Reader& reader, const Value& value, Response& out);
void read(Reader& reader, const Value& value, Clients& out);
/// "memory", or an object.
void read_store(Reader& reader, const Value& value, std::optional<RedisStore>& out);
void read(Reader& reader, const Value& value, Timeouts& out);
void read(Reader& reader, const Value& value, Maxima& out);
/// An object, or null.
void read_admin(Reader& reader, const Value& value, std::optional<Admin>& out);
void read(Reader& reader, const Value& value, Log& out);
void read(Reader& reader, const Value& value, Runtime& out);

}  // namespace sluice::config
