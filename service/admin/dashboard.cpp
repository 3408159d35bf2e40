#include "service/admin/dashboard.h"

#include <array>

#include <openssl/evp.h>

#include "dashboard_html.h"  // written by embed.cmake

namespace sluice::admin {
namespace {

// What is between <tag> and </tag>, as a Content-Security-Policy names it: 'sha256-…'.
std::string source_of(std::string_view page, std::string_view tag) {
    const std::string opening = "<" + std::string(tag) + ">";
    const std::size_t begin = page.find(opening) + opening.size();
    const std::string_view text = page.substr(begin, page.find("</" + std::string(tag) + ">") - begin);
    std::array<unsigned char, 32> digest{};
    EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    std::array<unsigned char, 45> base64{};
    EVP_EncodeBlock(base64.data(), digest.data(), digest.size());
    return "'sha256-" + std::string(reinterpret_cast<const char*>(base64.data())) + "'";
}

Response make_page() {
    Response page;
    page.content_type = "text/html; charset=utf-8";
    page.body.assign(reinterpret_cast<const char*>(kDashboardHtml), sizeof kDashboardHtml);
    // Whatever a client's key may hold, the page runs its own script only and talks to nobody else.
    page.fields = {{"Content-Security-Policy",
                    "default-src 'none'; style-src " + source_of(page.body, "style") + "; script-src " +
                        source_of(page.body, "script") +
                        "; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                        "frame-ancestors 'none'"},
                   {"Referrer-Policy", "no-referrer"}};
    return page;
}

}  // namespace

Response dashboard() {
    static const Response page = make_page();
    return page;
}

}  // namespace sluice::admin
