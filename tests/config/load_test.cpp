// From a file, and from the environment of this process.

#include "config/load.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/config/files.h"
#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

TEST(Load, ReadsAFile) {
    const std::string path = testing::TempDir() + "load_test.json";
    std::ofstream(path) << R"({ "upstream": "a:1" })";
    const auto config = load(path, {});
    ASSERT_TRUE(config);
    EXPECT_EQ(*config, good(R"({ "upstream": "a:1" })"));
}

TEST(Load, ErrorsNameTheFile) {
    const std::string path = testing::TempDir() + "load_test_bad.json";
    std::ofstream(path) << "{\n \"upstream\": 1 }";
    const auto config = load(path, {});
    ASSERT_FALSE(config);
    EXPECT_EQ(lines(config.error()), path +
                                         ":2:14: /upstream: must be the address of a server, a string such "
                                         "as \"127.0.0.1:3000\", not a number\n");
}

TEST(Load, AFileThatCannotBeReadIsOneLine) {
    EXPECT_EQ(lines(load("/nowhere/sluice.json", {}).error()),
              "/nowhere/sluice.json: No such file or directory\n");
    EXPECT_EQ(lines(load(testing::TempDir(), {}).error()), testing::TempDir() + ": Is a directory\n");
}

TEST(Load, AnEndlessFileIsNotReadToItsEnd) {
    EXPECT_EQ(lines(load("/dev/zero", {}).error()), "/dev/zero: is larger than 4 MiB\n");
}

TEST(Load, APipeThatNobodyWritesToIsNotWaitedFor) {
    const std::string path = testing::TempDir() + "load_test_pipe";
    ::unlink(path.c_str());
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(lines(load(path, {}).error()), path + ":1:1: the file is empty\n");
    const int writer = ::open(path.c_str(), O_RDWR);  // and now somebody could, and does not
    EXPECT_EQ(lines(load(path, {}).error()), path + ": nothing came from this pipe for 1 s\n");
    ::close(writer);
    ::unlink(path.c_str());
}

bool is_asleep(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string line;
    std::getline(file, line);
    return line.contains(") S ");
}

TEST(Load, WaitsForTheRestOfAPipe) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], R"({ "upstream": )", 14), 14);
    std::atomic<pid_t> thread = 0;
    std::thread reader([&] {
        thread = ::gettid();
        EXPECT_TRUE(load("/dev/fd/" + std::to_string(ends[0]), {}));
    });
    // Until it has taken what there is, and sleeps for more.
    for (int left = 1; left > 0 || !is_asleep(thread); std::this_thread::yield())
        ASSERT_EQ(::ioctl(ends[0], FIONREAD, &left), 0);
    EXPECT_EQ(::write(ends[1], R"("a:1" })", 7), 7);
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
}

TEST(Environment, IsTheProcesss) {
    const auto environment = process_environment();
    const char* const path = std::getenv("PATH");
    ASSERT_TRUE(path);
    ASSERT_TRUE(environment.contains("PATH"));
    EXPECT_EQ(environment.at("PATH"), path);
}

}  // namespace
}  // namespace sluice::config
