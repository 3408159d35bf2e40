#include "service/commands/build_info.h"

#include <boost/version.hpp>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <spdlog/version.h>

#include "sluice_commit.h"  // written by commit.cmake at each build

namespace sluice::commands {
namespace {

std::string dotted(int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

}  // namespace

BuildInfo build_info() {
    return {.version = SLUICE_VERSION,
            .commit = SLUICE_COMMIT,
#ifdef __clang__
            .compiler = "clang++ " + dotted(__clang_major__, __clang_minor__, __clang_patchlevel__),
#else
            .compiler = "g++ " + dotted(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__),
#endif
            .sanitizer = SLUICE_SANITIZER,
            .libraries = {
                {"Boost", dotted(BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
                // The others' are those of their headers; OpenSSL's is asked for where it runs.
                {"OpenSSL", ::OpenSSL_version(OPENSSL_VERSION_STRING)},
                {"nlohmann-json", dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                         NLOHMANN_JSON_VERSION_PATCH)},
                {"spdlog", dotted(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)}}};
}

}  // namespace sluice::commands
