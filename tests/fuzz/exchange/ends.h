#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "runtime/tcp.h"
#include "runtime/wait_group.h"
#include "tests/fuzz/exchange/input.h"
#include "tests/fuzz/exchange/judge.h"

// The two ends of an exchange: the client's connection, and the upstream.
namespace sluice::fuzz {

/// Writes `bytes` in pieces of `step`; what the peer does not take is not sent.
runtime::error_code send(runtime::TcpStream& to, std::string_view bytes, std::size_t step);

/// Reads until the end; true: it was in order.
bool drain(runtime::TcpStream& from, std::string& into);

/// Of this process alone, so that no other takes a port of it between two rounds.
boost::asio::ip::tcp::endpoint own_address(std::uint16_t port);

/// The two ends of a TCP connection: the client's and the proxy's. `narrow`: little fits between them.
std::array<runtime::TcpStream, 2> make_pair(bool narrow);

/// The upstream: each connection answers its first requests with its part of the input, then ends.
class Upstream {
  public:
    Upstream(const Input& input, runtime::TcpListener listener);
    void stop();
    const std::vector<std::string>& received() const { return received_; }
    /// The answers that were sent whole.
    const std::vector<Message>& whole() const { return whole_; }

  private:
    void accept();
    void serve(runtime::TcpStream& stream, std::size_t index);

    const Input& input_;
    runtime::TcpListener listener_;
    runtime::WaitGroup tasks_;
    std::vector<std::string> received_;
    std::vector<Message> whole_;
};

}  // namespace sluice::fuzz
