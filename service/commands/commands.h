#pragma once

#include <string>

namespace sluice::commands {

/// Exit codes.
inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;

/// Where the admin listener of a running service is.
struct AdminOptions {
    std::string address = "127.0.0.1:9900";  // HOST:PORT, [IPV6]:PORT or unix:/PATH
    std::string token;                       // empty: $SLUICE_TOKEN, if that is set
    bool watch = false;                      // stats only: refresh in place until interrupted
};

// The commands of the command line but `run`. Each prints to standard output, its errors to standard error,
// and returns the exit code. They block the calling thread; none needs a scheduler.

/// Validates a configuration file: "ok", or one line for each error.
int check(const std::string& path);

/// Prints the JSON Schema of the configuration.
int schema();

/// Version, commit, compiler and libraries, a line each, the last without an end; version() prints them.
std::string version_text();
int version();

/// Prints /stats as a table.
int stats(const AdminOptions& options);

/// Whether /readyz says so, within two seconds.
int healthcheck(const AdminOptions& options);

}  // namespace sluice::commands
