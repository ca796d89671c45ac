// A process killed at any system call of opening, appending, rolling, syncing, recovering or
// closing: nothing acknowledged is lost, nothing is there twice, and the log goes on at once.

#include <sys/mman.h>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 24 * 1024;
constexpr int64_t kBatch = 200;

// Counts the calls of a process that will be killed at one of them.
struct Progress {
  std::atomic<int64_t> acknowledged;  // values
  std::atomic<bool> is_done;
};

class LogCrashTest : public ::testing::Test {
 protected:
  LogCrashTest()
      : progress_(static_cast<Progress*>(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                                                MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~LogCrashTest() override { ::munmap(progress_, sizeof(Progress)); }

  static LogOptions killed_at(int call, uint8_t boot) {
    LogOptions options = after_boot(boot);
    auto* files = static_cast<FakeFiles*>(options.files.get());
    files->fail = [call, count = 0](const std::string&, int) mutable {
      if (++count == call) ::kill(::getpid(), SIGKILL);
      return 0;
    };
    options.sync_interval_us = 3'600'000'000;  // the calls of the background thread vary
    return options;
  }

  // Appends batches until `values` values are there.
  void append_up_to(Partition& partition, int64_t values) {
    for (int64_t next = progress_->acknowledged; next < values; next += kBatch) {
      append_values(partition, next, kBatch);
      progress_->acknowledged = next + kBatch;
    }
  }

  // Reads the log in `boot`; checks that it holds what was acknowledged and at most one batch more.
  void check(const std::string& directory, uint8_t boot, int call) {
    const auto log = Log::open(directory, after_boot(boot));
    const auto partition = log->open_partition(test_options(0, kSegmentBytes));
    std::vector<int64_t> values = read_values(*partition);
    const auto count = static_cast<int64_t>(values.size());
    ASSERT_EQ(values, iota(0, count)) << "killed at call " << call;
    ASSERT_GE(count, progress_->acknowledged) << "killed at call " << call;
    ASSERT_LE(count, progress_->acknowledged + kBatch) << "killed at call " << call;
    for (int64_t i = 0; i < 3; ++i) append_values(*partition, count + i * kBatch, kBatch);
    ASSERT_EQ(read_values(*partition), iota(0, count + 3 * kBatch)) << "killed at call " << call;
  }

  Progress* progress_;
};

TEST_F(LogCrashTest, KilledAtAnyCallOfAWritersLife) {
  for (int call = 1; call < 500; ++call) {
    TemporaryDirectory directory(Medium::kMemory);
    progress_->acknowledged = 0;
    progress_->is_done = false;
    const bool survived = run_and_die([&] {
      const auto log = Log::open(directory.path(), killed_at(call, 1));
      const auto partition = log->open_partition(test_options(0, kSegmentBytes));
      append_up_to(*partition, 6 * kBatch);
      partition->sync();
      append_up_to(*partition, 30 * kBatch);
      log->close();
    });
    check(directory.path(), 1, call);
    if (HasFatalFailure()) return;
    if (survived) {
      EXPECT_GT(call, 50);
      return;
    }
  }
  FAIL() << "the writer makes more calls than the test goes through";
}

TEST_F(LogCrashTest, KilledAtAnyCallOfARecovery) {
  for (int call = 1; call < 500; ++call) {
    TemporaryDirectory directory(Medium::kMemory);
    progress_->acknowledged = 0;
    ASSERT_TRUE(run_and_die([&] {
      const auto log = Log::open(directory.path(), after_boot(1));
      leak(log);
      append_up_to(*log->open_partition(test_options(0, kSegmentBytes)), 20 * kBatch);
    }));
    const bool survived = run_and_die([&] {
      const auto log = Log::open(directory.path(), killed_at(call, 2));
      const auto partition = log->open_partition(test_options(0, kSegmentBytes));
      append_up_to(*partition, 24 * kBatch);
      log->close();
    });
    check(directory.path(), 2, call);
    if (HasFatalFailure()) return;
    if (survived) {
      EXPECT_GT(call, 20);
      return;
    }
  }
  FAIL() << "the recovery makes more calls than the test goes through";
}

}  // namespace
}  // namespace pystream::storage
