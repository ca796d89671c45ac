// A process that forks with an open log.

#include <sys/resource.h>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

class LogForkTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_{Medium::kMemory};
};

// Checks inside a child: its exit code tells.
template <typename Check>
bool holds_in_child(Check check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <typename Action>
bool says_forked(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() == ErrorCode::kLog &&
           std::string(error.what()).find("Open it again in the child") != std::string::npos;
  }
  return false;
}

TEST_F(LogForkTest, TheChildIsToldToOpenTheLogAgain) {
  auto log = Log::open(directory_.path());
  auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10, Acks::kInterval);
  auto reader = partition->reader(0);
  const auto batch = reader->next();
  EXPECT_TRUE(holds_in_child([&] {
    const bool all_refused = says_forked([&] { append_values(*partition, 10); }) &&
                             says_forked([&] { reader->next(); }) &&
                             says_forked([&] { partition->ends(); }) &&
                             says_forked([&] { partition->sync(); }) &&
                             says_forked([&] { partition->wait(10, 1000); }) &&
                             says_forked([&] { log->open_partition(test_options(1)); });
    // Views of the parent's memory stay good, and letting go of everything does no harm.
    const bool view_is_good = values_of(*batch) == iota(0, 10);
    log->close();
    reader.reset();
    partition.reset();
    log.reset();
    const auto own = Log::open(directory_.path());
    const auto again = own->open_partition(test_options());
    append_values(*again, 10, 10);
    own->close();
    return all_refused && view_is_good;
  }));
  append_values(*partition, 20, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 30));
}

// In a child, because a limit of threads cannot be taken back, and counts for no superuser.
TEST_F(LogForkTest, WhereNoThreadCanBeMadeOpeningSaysSo) {
  Log::open(directory_.path());
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  std::filesystem::permissions(directory_ / "order", std::filesystem::perms::all);
  constexpr int kMayNotTry = 2;
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    const bool is_limited =
        ::setrlimit(RLIMIT_NPROC, &none) == 0 && (::geteuid() != 0 || ::setuid(65534) == 0);
    if (!is_limited) ::_exit(kMayNotTry);
    try {
      Log::open(directory_.path());
    } catch (const Error& error) {
      const bool is_told =
          std::string(error.what()).find("cannot start a thread that syncs") != std::string::npos;
      ::_exit(error.code() == ErrorCode::kStorage && is_told ? 0 : 1);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kMayNotTry) GTEST_SKIP() << "no limit may be set";
  EXPECT_EQ(status, 0);
}

TEST_F(LogForkTest, AChildDoesNotHoldTheLockOfAParentThatDied) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const auto files = std::make_shared<FakeFiles>();
    files->FileLayer::boot_id(&files->boot);
    LogOptions options;
    options.files = files;
    const auto log = Log::open(directory_.path(), options);
    const auto partition = log->open_partition(test_options());
    append_values(*partition, 0);
    files->fail = [&](const std::string& call, int) {
      if (call != "pwritev") return 0;
      // In the middle of an append: a child appears and outlives its parent.
      const pid_t child = ::fork();
      if (child == 0) {
        ::pause();
        ::_exit(0);
      }
      if (::write(ready[1], &child, sizeof(child)) == sizeof(child)) ::raise(SIGKILL);
      return 0;
    };
    append_values(*partition, 1);
  }
  ::close(ready[1]);  // so that the end of the process ends the wait for it
  pid_t child = 0;
  ASSERT_EQ(::read(ready[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  ::waitpid(parent, nullptr, 0);
  LogOptions options;
  options.lock_timeout_us = 60'000'000;
  const auto log = Log::open(directory_.path(), options);
  const auto partition = log->open_partition(test_options());
  EXPECT_EQ(append_values(*partition, 1).base_offset, 1);
  EXPECT_EQ(read_values(*partition), iota(0, 2));
  ::kill(child, SIGKILL);
  ::close(ready[0]);
}

TEST_F(LogForkTest, TheParentGoesOnAfterManyChildren) {
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  for (int64_t i = 0; i < 20; ++i) {
    append_values(*partition, 10 * i, 10);
    EXPECT_TRUE(holds_in_child([] { return true; }));
  }
  EXPECT_EQ(read_values(*partition), iota(0, 200));
}

}  // namespace
}  // namespace pystream::storage
