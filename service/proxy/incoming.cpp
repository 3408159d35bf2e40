#include "service/proxy/incoming.h"

#include <utility>

#include <boost/asio/error.hpp>

namespace sluice::proxy {

namespace {

// Of a body that nobody wants, to keep the connection: reading on costs less than connecting anew.
constexpr std::uint64_t kDrainMax = 64 * 1024;

Failure refused(Stage stage, const http::Refusal& refusal) {
    return {.stage = stage, .source = Source::client, .status = refusal.status, .reason = refusal.reason};
}

}  // namespace

std::expected<void, Failure> Incoming::read(const config::Config& config, runtime::Time first_by,
                                            runtime::Time reported) {
    buffer_.make_room();
    runtime::Time deadline = first_by;
    if (!buffer_.empty()) began_ = arrived_ = runtime::now();
    for (;;) {
        if (begun()) {
            const auto complete = parse(config);
            if (!complete) return std::unexpected(complete.error());
            if (*complete) return {};
            deadline =
                scan_.begun() ? began_ + config.timeouts.head : first_by;  // empty lines are no request
        }
        runtime::error_code error;
        const std::span<char> room = buffer_.room();
        const bool at_once = reported != runtime::Time{};
        stream_.read_deadline(at_once ? runtime::Time::min() : deadline);
        const std::size_t n = stream_.read_some(boost::asio::buffer(room.data(), room.size()), error);
        if (at_once && error == boost::asio::error::timed_out) [[unlikely]] {
            reported = {};
            continue;
        }
        if (error) {
            if (!scan_.begun()) began_ = {};  // nothing, or empty lines
            if (!begun() || error != boost::asio::error::timed_out) {
                return std::unexpected(client_gone(Stage::read_head));
            }
            return std::unexpected(
                refused(Stage::read_head, {408, "the head did not come within timeouts.head"}));
        }
        arrived_ = at_once ? std::exchange(reported, {}) : runtime::now();
        if (!scan_.begun()) began_ = arrived_;
        buffer_.filled(n);
    }
}

std::expected<bool, Failure> Incoming::parse(const config::Config& config) {
    const http::HeadLimits limits{static_cast<std::size_t>(config.max.head),
                                  static_cast<std::size_t>(config.max.headers), config.max.body};
    const auto size = http::read_request_head(buffer_.view(), scan_, limits, head_);
    if (!size) return std::unexpected(refused(Stage::read_head, size.error()));
    if (*size == 0) return false;
    const auto body = begin_body(*size, config);
    if (!body) return std::unexpected(body.error());
    return true;
}

// What is wrong with the first bytes of a body is known before any of it goes upstream.
std::expected<void, Failure> Incoming::begin_body(std::size_t head_bytes, const config::Config& config) {
    // Who the client is, is said in the head or not at all: it was identified by then.
    const bool own = config.client.address_from == config::AddressFrom::header;
    http::BodyReader& body = body_.emplace(
        head_.framing,
        http::BodyLimits{config.max.body, static_cast<std::size_t>(config.max.head),
                         own ? std::string_view(config.client.address_header) : std::string_view()});
    const std::span<char> behind = buffer_.bytes().subspan(head_bytes);
    body_begins_ = behind.data();
    if (body.done()) {
        buffer_.keep(behind);
        return {};
    }
    const auto piece = body.feed(behind);
    if (!piece) return std::unexpected(refused(Stage::read_body, piece.error()));
    first_ = piece->data;
    if (piece->done) buffer_.keep(behind.subspan(piece->consumed));
    return {};
}

bool Incoming::may_drain() const {
    if (body_->done()) return true;
    if (head_.expect_continue) return false;  // whether the body will come is not known
    return head_.framing.kind == http::Framing::Kind::chunked ||
           head_.framing.length - body_->bytes() <= kDrainMax;
}

bool Incoming::drain(runtime::Duration patience) {
    const std::uint64_t before = body_->bytes();
    stream_.read_deadline(runtime::now() + patience);
    while (!body_->done()) {
        runtime::error_code error;
        const std::span<char> room = this->room();
        const std::size_t n = stream_.read_some(boost::asio::buffer(room.data(), room.size()), error);
        if (error) return false;
        const auto piece = body_->feed(room.first(n));
        if (!piece || body_->bytes() - before > kDrainMax) return false;
        if (piece->done) leave(room.subspan(piece->consumed, n - piece->consumed));
    }
    return true;
}

}  // namespace sluice::proxy
