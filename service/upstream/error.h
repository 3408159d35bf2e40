#pragma once

// What can go wrong between us and an upstream before a byte of the answer has come.

#include <string_view>

namespace sluice::upstream {

enum class Error : unsigned char {
    none_healthy,  // every server is out of service
    exhausted,     // max_connections are in use and none came free in time
    lookup,        // the host name has no address
    refused,       // connection refused, network or host unreachable
    timeout,       // the connection was not made in connect_timeout
    tls,           // the handshake failed, or the certificate is none that we trust
    resources,     // we are out of descriptors or memory
    client_gone,   // who asked for the connection has left
};

constexpr std::string_view to_string(Error error) {
    switch (error) {
        case Error::none_healthy: return "no healthy server";
        case Error::exhausted: return "every connection is in use";
        case Error::lookup: return "the server's name could not be looked up";
        case Error::refused: return "the server refused the connection";
        case Error::timeout: return "connecting took too long";
        case Error::tls: return "the TLS handshake with the server failed";
        case Error::resources: return "out of descriptors";
        case Error::client_gone: return "the client went away";
    }
    return "unknown";
}

}  // namespace sluice::upstream
