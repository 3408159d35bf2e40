#include "service/http/body.h"

#include <algorithm>
#include <cstring>

#include "service/http/field_section.h"
#include "service/http/hop_by_hop.h"
#include "service/http/text.h"

namespace sluice::http {

namespace {

constexpr std::uint8_t kSizeDigitsMax = 16;  // of 64 bits

constexpr Refusal kBadSize{400, "a chunk size is not a hexadecimal number"};
constexpr Refusal kHugeSize{400, "a chunk size has more than 16 digits"};
constexpr Refusal kBadLine{400, "a chunk's line does not end in CR LF"};
constexpr Refusal kBadExtension{400, "a chunk extension holds a control character"};
constexpr Refusal kLongExtensions{400, "the chunk extensions are too long"};
constexpr Refusal kBadEnd{400, "a chunk is not followed by CR LF"};
constexpr Refusal kTooLong{413, "the body is longer than max.body"};
constexpr Refusal kLongTrailers{431, "the trailers are too long"};
constexpr Refusal kFolded{400, "a trailer line begins with white space"};

std::unexpected<Refusal> refuse(const Refusal& refusal) {
    return std::unexpected(refusal);
}

constexpr int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// RFC 9112 §7.1.1 as far as what must be kept out goes: quoted or not, no control character but the tab
// (CVE-2025-22871's kin).
constexpr bool is_extension_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

BodyReader::BodyReader(Framing framing, const BodyLimits& limits)
    : drop_trailers_(framing.drop_trailers), left_(framing.length), limits_(limits) {
    limits_.trailer_bytes = std::min(limits_.trailer_bytes, kTrailerRoom);
    switch (framing.kind) {
        case Framing::Kind::none: state_ = State::done; break;
        case Framing::Kind::length: state_ = left_ > 0 ? State::length : State::done; break;
        case Framing::Kind::chunked: state_ = State::size; break;
        case Framing::Kind::until_close: state_ = State::until_close; break;
    }
}

std::expected<BodyReader::Piece, Refusal> BodyReader::feed(std::span<char> raw) {
    if (state_ == State::done) return Piece{{}, 0, true};
    if (state_ != State::length && state_ != State::until_close) return unchunk(raw);

    std::size_t n = raw.size();
    if (state_ == State::length) {
        n = static_cast<std::size_t>(std::min<std::uint64_t>(n, left_));
        left_ -= n;
        if (left_ == 0) state_ = State::done;
    }
    if (n > limits_.bytes - bytes_) return refuse(kTooLong);
    bytes_ += n;
    return Piece{raw.first(n), n, done()};
}

// Data move towards the front over the framing that was between them. The first piece stays where it is, so a
// buffer that holds one chunk, as most do, moves nothing.
std::expected<BodyReader::Piece, Refusal> BodyReader::unchunk(std::span<char> raw) {
    char* data = nullptr;
    char* data_end = nullptr;
    std::size_t at = 0;
    while (at < raw.size() && state_ != State::done) {
        if (state_ == State::data) {
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(raw.size() - at, left_));
            char* from = raw.data() + at;
            if (!data) data = data_end = from;
            if (data_end != from) std::memmove(data_end, from, n);
            data_end += n;
            at += n;
            bytes_ += n;
            left_ -= n;
            if (left_ == 0) state_ = State::data_cr;
        } else if (state_ == State::trailer) {
            const auto taken = take_trailer(raw.subspan(at));
            if (!taken) return std::unexpected(taken.error());
            at += *taken;
        } else {
            const auto good = take_framing(raw[at++]);
            if (!good) return std::unexpected(good.error());
        }
    }
    return Piece{{data, data_end}, at, done()};
}

std::expected<void, Refusal> BodyReader::take_framing(char c) {
    switch (state_) {
        case State::size:
            if (const int digit = hex_digit(c); digit >= 0) {
                if (digits_ == kSizeDigitsMax) return refuse(kHugeSize);
                ++digits_;
                left_ = left_ << 4 | static_cast<unsigned>(digit);
                return {};
            }
            if (digits_ > 0 && is_blank(c)) {
                state_ = State::before_extension;
                return {};
            }
            if (digits_ == 0 || (c != '\r' && c != ';')) return refuse(c == '\n' ? kBadLine : kBadSize);
            state_ = c == '\r' ? State::size_lf : State::extension;
            return {};
        case State::before_extension:
            if (++extensions_ > kExtensionBytesMax) return refuse(kLongExtensions);
            if (c == ';')
                state_ = State::extension;
            else if (!is_blank(c))
                return refuse(kBadSize);
            return {};
        case State::extension:
            if (++extensions_ > kExtensionBytesMax) return refuse(kLongExtensions);
            if (c == '\r')
                state_ = State::size_lf;
            else if (!is_extension_char(c))
                return refuse(kBadExtension);
            return {};
        case State::size_lf:
            if (c != '\n') return refuse(kBadLine);
            return begin_chunk();
        case State::data_cr:
            if (c != '\r') return refuse(kBadEnd);
            state_ = State::data_lf;
            return {};
        case State::data_lf:
            if (c != '\n') return refuse(kBadEnd);
            state_ = State::size;
            return {};
        default: return {};  // the other states are not framing
    }
}

std::expected<void, Refusal> BodyReader::begin_chunk() {
    if (left_ > limits_.bytes - bytes_) return refuse(kTooLong);
    digits_ = 0;
    state_ = left_ > 0 ? State::data : State::trailer;
    return {};
}

// Line by line, at most to the end of one: the section is collected whole, since only then may a field be
// judged.
std::expected<std::size_t, Refusal> BodyReader::take_trailer(std::span<const char> raw) {
    const void* lf = std::memchr(raw.data(), '\n', raw.size());
    const std::size_t n =
        lf ? static_cast<std::size_t>(static_cast<const char*>(lf) - raw.data()) + 1 : raw.size();
    if (n > limits_.trailer_bytes - trailer_size_) return refuse(kLongTrailers);
    std::memcpy(trailers_.data() + trailer_size_, raw.data(), n);
    trailer_size_ += static_cast<std::uint32_t>(n);
    if (!lf) return n;

    const std::string_view line = trailers().substr(trailer_line_);
    if (!line.ends_with(kCrlf)) return refuse(kBadLine);
    if (is_blank(line.front())) return refuse(kFolded);
    trailer_line_ = trailer_size_;
    if (line != kCrlf) return n;
    if (const auto good = keep_trailers(); !good) return std::unexpected(good.error());
    state_ = State::done;
    return n;
}

// First drops what may not be in a trailer, as if it had never been sent: only the rest must be well-formed.
std::expected<void, Refusal> BodyReader::keep_trailers() {
    std::string_view section = trailers();
    char* kept = trailers_.data();
    while (section != kCrlf) {
        const std::string_view line = section.substr(0, section.find('\n') + 1);
        section.remove_prefix(line.size());
        const std::string_view name = line.substr(0, line.find(':'));
        if (drop_trailers_ || !may_trail(name)) continue;
        if (!limits_.no_trailer.empty() && passes_for(name, limits_.no_trailer)) continue;
        std::memmove(kept, line.data(), line.size());
        kept += line.size();
    }
    trailer_size_ = static_cast<std::uint32_t>(kept - trailers_.data());
    kept = std::copy(kCrlf.begin(), kCrlf.end(), kept);
    Fields fields;
    return read_fields({trailers_.data(), kept}, fields);
}

}  // namespace sluice::http
