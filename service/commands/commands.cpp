#include "service/commands/commands.h"

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "service/commands/admin_client.h"
#include "service/commands/build_info.h"
#include "service/commands/stats_table.h"

namespace sluice::commands {
namespace {

using namespace std::chrono_literals;

void print(std::FILE* to, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

int fail(const std::string& why) {
    print(stderr, "sluice: " + why + "\n");
    return kFailed;
}

std::string token_of(const AdminOptions& options) {
    if (!options.token.empty()) return options.token;
    const char* const token = std::getenv("SLUICE_TOKEN");
    return token ? token : "";
}

// The body of a 200; any other answer is a failure that says what to do about it.
std::expected<std::string, std::string> fetch_stats(const AdminOptions& options) {
    auto answer = get(options.address, "/stats", token_of(options), 5s);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status == 401) {
        return std::unexpected(options.address + ": a token is needed: --token or $SLUICE_TOKEN");
    }
    if (answer->status != 200) {
        return std::unexpected(options.address + ": answered " + std::to_string(answer->status) +
                               " to GET /stats");
    }
    if (!nlohmann::json::accept(answer->body))
        return std::unexpected(options.address + ": did not answer JSON");
    return std::move(answer->body);
}

// From the top left, each line and then the rest of the screen cleared behind the text. What does not fit on
// the terminal is cut off: a line that wraps would push the first ones out.
std::string in_place(const std::string& table) {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) {
        window.ws_col = window.ws_row = std::numeric_limits<unsigned short>::max();
    }
    std::string out = "\x1b[H";
    unsigned column = 0, row = 1;
    for (const char c : table) {
        if (c == '\n') {
            if (++row >= window.ws_row) break;
            out += "\x1b[K\n";
            column = 0;
        } else if ((c & 0xc0) == 0x80 ? column <= window.ws_col : ++column <= window.ws_col) {
            out += c;
        }
    }
    return out + "\x1b[J";
}

// Until it is ended. A service that comes back, after a restart, is shown again.
int watch(const AdminOptions& options) {
    std::string previous, table;
    auto taken = std::chrono::steady_clock::now();
    while (true) {
        const auto now = std::chrono::steady_clock::now();
        auto body = fetch_stats(options);
        if (!body && previous.empty()) return fail(body.error());
        if (body) {
            const double seconds = std::chrono::duration<double>(now - taken).count();
            table = stats_table(*body, previous, seconds);
            if (previous.empty()) print(stdout, "\x1b[2J");
            previous = std::move(*body);
            taken = now;
        }
        print(stdout, in_place(body ? table : "NO ANSWER: " + body.error() + "\n\n" + table));
        if (std::ferror(stdout)) return kFailed;
        std::this_thread::sleep_until(now + 1s);
    }
}

}  // namespace

std::string version_text() {
    const BuildInfo info = build_info();
    std::string out = "sluice " + info.version + " (" + info.commit + ")\ncompiler " + info.compiler;
    if (!info.sanitizer.empty()) out += "\nsanitizer " + info.sanitizer;
    for (const auto& library : info.libraries) out += "\n" + library.name + " " + library.version;
    return out;
}

int version() {
    print(stdout, version_text() + "\n");
    return kFine;
}

int stats(const AdminOptions& options) {
    if (options.watch) return watch(options);
    const auto body = fetch_stats(options);
    if (!body) return fail(body.error());
    print(stdout, stats_table(*body));
    return kFine;
}

int healthcheck(const AdminOptions& options) {
    const auto answer = get(options.address, "/readyz", token_of(options), 2s);
    if (!answer) return fail(answer.error());
    if (answer->status != 200)
        return fail("not ready: " + options.address + " answered " + std::to_string(answer->status));
    return kFine;
}

}  // namespace sluice::commands
