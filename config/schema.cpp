#include "config/schema.h"

#include "schema_bytes.h"

namespace sluice::config {

std::string_view schema() {
    return {kSchema, sizeof kSchema};
}

}  // namespace sluice::config
