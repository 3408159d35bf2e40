#pragma once

#include "service/admin/request.h"

namespace sluice::admin {

/// `GET /`: the files of dashboard/, put together into one page by the build. It loads nothing from
/// elsewhere, holds no figures itself, and lives on /events and /stats/clients. Without the token it asks for
/// it.
Response dashboard();

}  // namespace sluice::admin
