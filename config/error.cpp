#include "config/error.h"

#include "config/quote.h"

namespace sluice::config {

std::string Error::to_string() const {
    std::string out = file;
    if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
    if (!pointer.empty()) out += ": " + pointer;
    return one_line(out + ": " + message);
}

}  // namespace sluice::config
