#include "config/address.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <sys/un.h>

#include "config/quote.h"

namespace sluice::config {
namespace {

constexpr std::string_view kUnix = "unix:";

bool is_ip(const std::string& host, int family) {
    std::array<std::uint8_t, 16> ignored{};
    return ::inet_pton(family, host.c_str(), ignored.data()) == 1;
}

// RFC 1123: labels of letters, digits and hyphens; underscores too, which names of containers have.
bool is_name(std::string_view host) {
    if (host.empty() || host.size() > 253) return false;
    std::size_t label = 0;
    for (const char c : host) {
        const bool letter = std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
        if (!letter && (c != '.' || label == 0)) return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63) return false;
    }
    // An address of four numbers that is none (300.1.1.1) is not a name either.
    return host.find_first_not_of("0123456789.") != std::string_view::npos;
}

std::optional<std::uint16_t> port_of(std::string_view digits) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return port;
}

std::optional<Address> unix_address(std::string_view text) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.size() < 2 || path[0] != '/' || path.size() >= sizeof(sockaddr_un::sun_path))
        return std::nullopt;
    if (path.find('\0') != std::string_view::npos) return std::nullopt;
    return Address{std::string(text), "", 0, std::string(path)};
}

struct HostAndPort {
    std::string host;
    bool bracketed;
    std::uint16_t port;
};

std::optional<HostAndPort> split(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = port_of(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    if (!port) return std::nullopt;
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    return HostAndPort{std::string(host), bracketed, *port};
}

std::optional<Address> scan(std::string_view text, bool listen) {
    if (text.starts_with(kUnix)) return unix_address(text);
    auto parts = split(text);
    if (!parts) return std::nullopt;
    const bool address = is_ip(parts->host, parts->bracketed ? AF_INET6 : AF_INET);
    const bool name = !listen && !parts->bracketed && is_name(parts->host);
    if ((!address && !name) || (parts->port == 0 && !listen)) return std::nullopt;
    return Address{std::string(text), std::move(parts->host), parts->port, ""};
}

// A URL, a port alone, a name to listen on, an IPv6 address without brackets, a path without its scheme.
std::string suggestion(std::string_view text, bool listen) {
    std::string guess(text);
    for (const std::string_view scheme : {"http://", "https://", "tcp://"}) {
        if (guess.starts_with(scheme)) guess.erase(0, scheme.size());
    }
    if (!text.starts_with("/") && guess.ends_with("/")) guess.pop_back();
    const std::string here = listen ? "0.0.0.0:" : "127.0.0.1:";
    if (text.starts_with("/")) guess = std::string(kUnix) + guess;
    if (port_of(guess)) guess = here + guess;
    if ((guess.starts_with(":") || guess.starts_with("*:")) && std::ranges::count(guess, ':') == 1)
        guess = here + guess.substr(guess.find(':') + 1);
    if (listen && guess.starts_with("localhost:")) guess.replace(0, 9, "127.0.0.1");
    if (const auto colon = guess.rfind(':');
        colon != std::string::npos && is_ip(guess.substr(0, colon), AF_INET6)) {
        guess = "[" + guess.substr(0, colon) + "]" + guess.substr(colon);
    }
    return guess != text && scan(guess, listen) ? "; did you mean " + quote(guess) + "?" : std::string{};
}

std::expected<Address, std::string> parse(std::string_view text, bool listen) {
    if (auto address = scan(text, listen)) return *std::move(address);
    const std::string form = listen ? "IP:PORT or unix:/PATH, such as \"0.0.0.0:8080\" or \"[::]:8080\""
                                    : "HOST:PORT or unix:/PATH, such as \"127.0.0.1:3000\" or \"app:3000\"";
    return std::unexpected(
        quote(text) + (listen ? " is not an address to listen on (" : " is not an address of a server (") +
        form + suggestion(text, listen) + ")");
}

}  // namespace

std::expected<Address, std::string> parse_listen_address(std::string_view text) {
    return parse(text, true);
}

std::expected<Address, std::string> parse_server_address(std::string_view text) {
    return parse(text, false);
}

}  // namespace sluice::config
