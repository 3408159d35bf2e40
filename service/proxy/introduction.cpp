#include "service/proxy/introduction.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

namespace sluice::proxy {

std::expected<http::ProxyHeader, std::string_view> read_introduction(runtime::TcpStream& stream,
                                                                     ReceiveBuffer& buffer) {
    for (;;) {
        const std::span<char> room = buffer.room();
        runtime::error_code error;
        buffer.filled(stream.read_some(boost::asio::buffer(room.data(), room.size()), error));
        if (error == boost::asio::error::timed_out)
            return std::unexpected("the PROXY header did not come within timeouts.head");
        if (error)
            return std::unexpected(buffer.empty() ? std::string_view() : "the PROXY header was cut short");
        const auto header = http::read_proxy_header(buffer.view());
        if (!header) return std::unexpected(header.error());
        if (header->size == 0) continue;
        buffer.keep(buffer.bytes().subspan(header->size));
        return header;
    }
}

}  // namespace sluice::proxy
