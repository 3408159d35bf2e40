#pragma once

#include <string>
#include <vector>

namespace sluice::commands {

/// What this binary was made of.
struct BuildInfo {
    struct Library {
        std::string name;
        std::string version;
    };

    std::string version;    // "0.1.0"
    std::string commit;     // of the sources, "-dirty" when they were changed since; "unknown" without git
    std::string compiler;   // "g++ 12.2.0"
    std::string sanitizer;  // empty, or what it was built with
    std::vector<Library> libraries;
};

BuildInfo build_info();

}  // namespace sluice::commands
