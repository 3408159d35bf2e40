#include "config/names.h"

namespace sluice::config {

std::string to_string(const KeyPart& part) {
    std::string out(name_of(part.kind));
    if (!part.name.empty()) out += ":" + part.name;
    return out;
}

}  // namespace sluice::config
