#pragma once

// The field section of a head: names and values as views into the buffer that the head was read into, in the
// order in which they came. Values; no allocation. A Fields of 256 places is about 10 KiB, of which only what
// is used is touched: it is meant to lie on the stack of the task that handles the message.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <span>
#include <string_view>

namespace sluice::http {

/// The fields that some code of ours knows by name. Everything else is `other`.
enum class FieldId : std::uint8_t {
    other,
    // Of the connection, not of the message (RFC 9110 §7.6.1): never passed on as they came.
    connection,
    http2_settings,
    keep_alive,
    proxy_authenticate,
    proxy_authentication_info,
    proxy_authorization,
    proxy_connection,
    te,
    transfer_encoding,
    upgrade,
    // Written anew.
    content_length,
    expect,
    host,
    // Who asks, and through whom.
    forwarded,
    via,
    x_forwarded,  // X-Forwarded-Port, -Server, … and X-Real-IP: a client must not set them either
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_proto,
    x_request_id,
    lookalike,  // one of ours with `_` for `-`, which CGI-like gateways do not tell apart: never sent
                // upstream
    // What the limiter tells.
    ratelimit,
    ratelimit_policy,
    retry_after,
    x_ratelimit_limit,
    x_ratelimit_remaining,
    x_ratelimit_reset,
    // Read by rules, logs and the relay.
    authorization,
    cookie,
    date,
    referer,
    server,
    trailer,
    user_agent,
};

/// A set of known fields; `other` is never in it.
class FieldSet {
  public:
    constexpr FieldSet() = default;
    constexpr FieldSet(std::initializer_list<FieldId> ids) {
        for (const FieldId id : ids) add(id);
    }
    constexpr void add(FieldId id) { bits_ |= bit(id); }
    constexpr bool contains(FieldId id) const { return (bits_ & bit(id)) != 0; }
    constexpr FieldSet operator|(FieldSet more) const {
        more.bits_ |= bits_;
        return more;
    }

  private:
    static constexpr std::uint64_t bit(FieldId id) {
        return std::uint64_t{1} << static_cast<unsigned>(id) & ~std::uint64_t{1};
    }
    std::uint64_t bits_ = 0;
};

struct Field {
    std::string_view name;   // as received
    std::string_view value;  // without the white space around it
    FieldId id = FieldId::other;
    bool hop = false;    // named by Connection: goes no further
    bool plain = false;  // it lies in its buffer just as it would be written: `name: value`, CR LF
};

/// Which field a name stands for, in any case. REQUIRES: `name` is a token, or not a name at all (then
/// `other`, or whatever it resembles).
FieldId identify(std::string_view name);

/// Whether a field named `name` could be taken for one named `known`: in any case, and with `_` for `-`,
/// which CGI-like gateways do not tell apart.
bool passes_for(std::string_view name, std::string_view known);

class Fields {
  public:
    static constexpr std::size_t kMax = 256;

    Fields() {}  // leaves the places as they are: clearing them would cost more than reading a head
    Fields(const Fields& other) : size_(other.size_), known_(other.known_) { copy(other); }
    Fields& operator=(const Fields& other) {
        size_ = other.size_;
        known_ = other.known_;
        copy(other);
        return *this;
    }

    std::size_t size() const { return size_; }
    bool full() const { return size_ == kMax; }
    const Field* begin() const { return places(); }
    const Field* end() const { return places() + size_; }
    std::span<Field> all() { return {places(), size_}; }

    /// REQUIRES: !full().
    void add(const Field& field) {
        ::new (places() + size_) Field(field);
        ++size_;
        known_.add(field.id);
    }
    void clear() {
        size_ = 0;
        known_ = {};
    }

    /// Costs a bit test when there is none.
    bool has(FieldId id) const { return known_.contains(id); }
    /// The first of that kind or name; nullptr: there is none. Names match in any case.
    const Field* find(FieldId id) const;
    const Field* find(std::string_view name) const;
    /// Its value; empty when there is none.
    std::string_view value(FieldId id) const {
        const Field* found = has(id) ? find(id) : nullptr;
        return found ? found->value : std::string_view();
    }
    std::size_t count(FieldId id) const;
    /// Whether the fields of that name go on, whatever Connection says. Those that only pass for it do not
    /// in any case.
    void pass_on(std::string_view name, bool on);

  private:
    Field* places() { return reinterpret_cast<Field*>(room_.data()); }
    const Field* places() const { return reinterpret_cast<const Field*>(room_.data()); }
    void copy(const Fields& other) {
        for (std::size_t i = 0; i < size_; ++i) ::new (places() + i) Field(other.places()[i]);
    }

    std::size_t size_ = 0;
    FieldSet known_;
    alignas(Field) std::array<std::byte, kMax * sizeof(Field)> room_;
};

}  // namespace sluice::http
