#include "service/open_admin.h"

#include "config/cidr.h"

namespace sluice {

namespace {

bool is_for_this_machine(const config::Address& address) {
    if (!address.unix_path.empty()) return true;
    const auto host = config::parse_cidr(address.host);
    const auto v4 = config::parse_cidr("127.0.0.0/8"), v6 = config::parse_cidr("::1");
    return host && (v4->contains(host->address) || v6->contains(host->address));
}

}  // namespace

void warn_of_open_admin(const config::Config& config, telemetry::Log& log) {
    const auto& admin = config.admin;
    if (!admin || !admin->token.empty() || is_for_this_machine(admin->address)) return;
    log.warn("the admin listener has no token: whoever reaches it may ban, let in and reload",
             {{"admin", admin->address.text}, {"setting", "admin.token"}});
}

}  // namespace sluice
