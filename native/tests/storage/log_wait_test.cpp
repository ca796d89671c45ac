// Waiting for appends, and for locks.

#include "base/clock.hpp"
#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

class LogWaitTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_{Medium::kMemory};
};

TEST_F(LogWaitTest, ReturnsAtOnceWhenThereIsMore) {
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0);
  EXPECT_TRUE(partition->wait(0, 0));
  EXPECT_FALSE(partition->wait(1, 0));
  EXPECT_FALSE(partition->wait(1, 1'000));
}

TEST_F(LogWaitTest, AnAppendOfAnotherProcessWakes) {
  WaitingProcess writer([&] {
    const auto own = Log::open(directory_.path());
    const auto target = own->open_partition(test_options());
    for (int64_t i = 0; i < 100; ++i) append_values(*target, i);
    own->close();
  });
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  writer.let_go();
  for (int64_t i = 0; i < 100; ++i) ASSERT_TRUE(partition->wait(i, 60'000'000));
  EXPECT_EQ(writer.wait(), 0);
}

TEST_F(LogWaitTest, WaitsForAnyOfMany) {
  const auto log = Log::open(directory_.path());
  // More than the kernel waits for at once, too.
  for (const int32_t count : {1, 2, 128, 130}) {
    std::vector<std::shared_ptr<Partition>> partitions;
    for (int32_t i = 0; i < count; ++i) partitions.push_back(log->open_partition(test_options(i)));
    std::vector<int64_t> ends;
    for (const auto& partition : partitions) ends.push_back(partition->ends().log_end_offset);
    EXPECT_FALSE(log->wait_any(partitions, ends, 2'000));
    std::thread writer([&] { append_values(*partitions.back(), 0); });
    EXPECT_TRUE(log->wait_any(partitions, ends, 60'000'000));
    writer.join();
  }
}

TEST_F(LogWaitTest, CloseEndsAWait) {
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  std::thread closer([&] { log->close(); });
  expect_error(ErrorCode::kClosed, "is closed", [&] {
    for (;;) partition->wait(0, 60'000'000);
  });
  closer.join();
}

TEST_F(LogWaitTest, AStoppedHolderIsATimeoutThatNamesItsPid) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  WaitingProcess holder([&] {
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->FileLayer::boot_id(&files->boot);
    options.files = files;
    const auto own = Log::open(directory_.path(), options);
    const auto partition = own->open_partition(test_options());
    files->set_fail([&, has_stopped = false](const std::string& call, int) mutable {
      if (call != "pwritev" || std::exchange(has_stopped, true)) return 0;
      if (::write(ready[1], "r", 1) == 1) ::raise(SIGSTOP);
      return 0;
    });
    append_values(*partition, 0);
    leak(own);
  });
  ::close(ready[1]);  // so that the end of the process ends the wait for it
  holder.let_go();
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  LogOptions options;
  options.lock_timeout_us = 5'000;
  const auto impatient = Log::open(directory_.path(), options);
  const auto partition = impatient->open_partition(test_options());
  expect_error(ErrorCode::kRequestTimeout, "process " + std::to_string(holder.pid()) + " has held",
               [&] { append_values(*partition, 0); });
  // Reading never waits for writers.
  EXPECT_TRUE(read_values(*partition).empty());
  // The first signal may come before it has stopped.
  while (!holder.has_ended()) {
    ::kill(holder.pid(), SIGCONT);
    ::usleep(1'000);
  }
  EXPECT_EQ(append_values(*partition, 1).base_offset, 1);
  ::close(ready[0]);
}

TEST_F(LogWaitTest, AThreadThatHoldsTheLockIsATimeoutToo) {
  LogOptions options;
  options.lock_timeout_us = 2'000;
  const auto files = std::make_shared<FakeFiles>();
  options.files = files;
  const auto log = Log::open(directory_.path(), options);
  const auto partition = log->open_partition(test_options());
  std::atomic<int> state{0};
  files->set_fail([&](const std::string& call, int) {
    if (call != "pwritev" || state.exchange(1) != 0) return 0;
    state.notify_all();
    state.wait(1);
    return 0;
  });
  std::thread holder([&] { append_values(*partition, 0); });
  state.wait(0);
  expect_error(ErrorCode::kRequestTimeout, "has held the append lock of orders-0",
               [&] { append_values(*partition, 0); });
  state = 2;
  state.notify_all();
  holder.join();
  EXPECT_EQ(append_values(*partition, 1).base_offset, 1);
}

}  // namespace
}  // namespace pystream::storage
