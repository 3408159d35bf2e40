#include "service/http/reply.h"

#include <array>

#include "service/http/writer.h"

namespace sluice::http {

namespace {

constexpr std::string_view kProblemType = "application/problem+json";
constexpr std::size_t kProblemRoom = 1024;
constexpr std::size_t kDetailMax = 140;  // six bytes each where all is escaped
static_assert(6 * kDetailMax + 128 <= kProblemRoom);

void write_json_text(std::string_view text, Writer& to) {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            to << '\\' << c;
        else if (byte < 0x20 || byte >= 0x7f)  // a peer's bytes need not be UTF-8
            to << "\\u00" << kHex[byte >> 4] << kHex[byte & 15];
        else
            to << c;
    }
}

}  // namespace

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 102: return "Processing";
        case 103: return "Early Hints";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 203: return "Non-Authoritative Information";
        case 204: return "No Content";
        case 205: return "Reset Content";
        case 206: return "Partial Content";
        case 300: return "Multiple Choices";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 402: return "Payment Required";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 407: return "Proxy Authentication Required";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 418: return "I'm a teapot";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 425: return "Too Early";
        case 426: return "Upgrade Required";
        case 428: return "Precondition Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 451: return "Unavailable For Legal Reasons";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        case 511: return "Network Authentication Required";
        default: return "Unknown";
    }
}

std::string_view write_reply(const Reply& reply, std::span<char> room) {
    Writer to(room);
    to << "HTTP/1.1 " << static_cast<unsigned>(reply.status) << ' ' << reason_phrase(reply.status) << "\r\n";
    if (!reply.date.empty()) to.field("Date", reply.date);
    if (!reply.content_type.empty()) to.field("Content-Type", reply.content_type);
    const bool may_have_body = reply.status >= 200 && reply.status != 204 && reply.status != 304;
    if (may_have_body) to << "Content-Length: " << reply.body.size() << "\r\n";
    to << reply.extra;
    if (!reply.keep_alive)
        to << "Connection: close\r\n";
    else if (reply.minor == 0)
        to << "Connection: keep-alive\r\n";
    to << "\r\n";
    if (may_have_body && !reply.to_head) to << reply.body;
    return to.text();
}

std::string_view write_problem(Reply reply, std::string_view detail, std::span<char> room) {
    std::array<char, kProblemRoom> body;
    Writer json(body);
    json << R"({"type":"about:blank","title":")" << reason_phrase(reply.status) << R"(","status":)"
         << static_cast<unsigned>(reply.status) << R"(,"detail":")";
    write_json_text(detail.substr(0, kDetailMax), json);
    json << "\"}";
    reply.content_type = kProblemType;
    reply.body = json.text();
    return write_reply(reply, room);
}

}  // namespace sluice::http
