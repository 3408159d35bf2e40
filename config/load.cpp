#include "config/load.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/parse.h"

namespace sluice::config {
namespace {

constexpr int kPatienceMs = 1000;  // with a pipe, between two pieces

std::unexpected<Errors> about_the_file(const std::string& path, std::string message) {
    return std::unexpected(Errors{{path, 0, 0, "", std::move(message)}});
}

std::string reason(int error) {
    return std::generic_category().message(error);
}

class File {
  public:
    // Never waits to be opened: a pipe that nobody writes to would hold up whoever reloads, and with it the
    // signals to end.
    explicit File(const std::string& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {}
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    bool is_open() const { return descriptor_ >= 0; }

    // One byte more than parse() takes is enough to tell. Nothing, or what went wrong.
    std::string read_all(std::string& text) const {
        while (text.size() <= kMaxFileBytes) {
            char piece[64 * 1024];
            const ssize_t count = ::read(descriptor_, piece, sizeof piece);
            if (count == 0) break;
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) {
                if (wait_for_more()) continue;
                return "nothing came from this pipe for 1 s";
            }
            if (count < 0) return reason(errno);
            text.append(piece, static_cast<std::size_t>(count));
        }
        return {};
    }

  private:
    bool wait_for_more() const {
        pollfd ready{descriptor_, POLLIN, 0};
        return ::poll(&ready, 1, kPatienceMs) > 0;
    }

    const int descriptor_;
};

}  // namespace

std::expected<Config, Errors> load(const std::string& path, const Environment& environment,
                                   const Judges& judges) {
    const File file(path);
    if (!file.is_open()) return about_the_file(path, reason(errno));
    std::string text;
    if (auto problem = file.read_all(text); !problem.empty()) return about_the_file(path, std::move(problem));
    return parse(text, path, environment, judges);
}

}  // namespace sluice::config
