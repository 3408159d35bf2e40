// Where clients come in: see sections.h.

#include "config/address.h"
#include "config/checks.h"
#include "config/sections.h"

namespace sluice::config {
namespace {

void read(Reader& reader, const Value& value, ListenTls& out) {
    Object object(reader, value);
    object.field("certificate", out.certificate, wrong_file);
    object.field("key", out.key, wrong_file);
    object.field("client_ca", out.client_ca, wrong_file);
    object.require("certificate", "\"/etc/sluice/tls.crt\"");
    object.require("key", "\"/etc/sluice/tls.key\"");
}

}  // namespace

void read_listen_address(Reader& reader, const Value& value, Address& out) {
    if (!is(reader, value, Node::Kind::string, "an address, a string such as \"0.0.0.0:8080\"")) return;
    if (auto address = parse_listen_address(value.node.text)) {
        out = *std::move(address);
    } else {
        reader.complain(value, address.error());
    }
}

void read(Reader& reader, const Value& value, Listen& out) {
    if (value.node.kind != Node::Kind::object) {
        read_listen_address(reader, value, out.address);
        out.name = out.address.text;
        return;
    }
    Object object(reader, value);
    object.with("address", [&](Reader& r, const Value& v) { read_listen_address(r, v, out.address); });
    out.name = out.address.text;
    object.field("name", out.name, wrong_name);
    object.with("tls", [&](Reader& r, const Value& v) { read(r, v, out.tls.emplace()); });
    object.field("proxy_protocol", out.proxy_protocol);
    object.field("reuse_port", out.reuse_port);
    if (out.reuse_port && !out.address.unix_path.empty())
        object.refuse("reuse_port", "goes with IP:PORT alone: a Unix socket has one process that listens");
    object.require("address", "\"0.0.0.0:8080\"");
}

void read_listen(Reader& reader, const Value& value, std::vector<Listen>& out) {
    if (value.node.kind != Node::Kind::array) {
        read(reader, Value{value.node, value.pointer, value.pattern + "/*"}, out.emplace_back());
        return;
    }
    read(reader, value, out);
    if (value.node.items.empty())
        reader.complain(value, "no address to listen on (such as \"0.0.0.0:8080\")");
}

}  // namespace sluice::config
