#include "service/admin/dashboard.h"

#include "dashboard_html.h"  // written by embed.cmake

namespace sluice::admin {

Response dashboard() {
    Response page;
    page.content_type = "text/html; charset=utf-8";
    page.body.assign(reinterpret_cast<const char*>(kDashboardHtml), sizeof kDashboardHtml);
    // Whatever a client's key may hold, the page runs its own script only and talks to nobody else.
    page.fields = {
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"}};
    return page;
}

}  // namespace sluice::admin
