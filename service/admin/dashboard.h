#pragma once

#include "service/admin/request.h"

namespace sluice::admin {

/// `GET /`: dashboard/index.html, put into the program by the build. One page that loads nothing from
/// elsewhere: it lives on /events and /stats/clients.
Response dashboard();

}  // namespace sluice::admin
