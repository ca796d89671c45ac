// acks="durable": what is acknowledged is synced, and those who wait at the same time share a sync.

#include <poll.h>
#include <sys/mman.h>

#include <chrono>
#include <condition_variable>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr std::chrono::seconds kLong(60);
constexpr int64_t kSyncingEnd = 1560;  // in the control page
constexpr int64_t kLongUs = std::chrono::microseconds(kLong).count();

// Does what is asked before each fdatasync, while other calls go on.
class WatchedFiles : public FakeFiles {
 public:
  int sync_data(int fd) override {
    if (is_watching) before_sync();
    return FakeFiles::sync_data(fd);
  }
  std::function<void()> before_sync;
  std::atomic<bool> is_watching{false};
};

LogOptions options_with(std::shared_ptr<FileLayer> files) {
  LogOptions options;
  options.files = std::move(files);
  options.sync_interval_us = 3'600'000'000;
  return options;
}

// Holds up who comes until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock guard(mutex_);
    ++arrived_;
    changed_.notify_all();
    EXPECT_TRUE(changed_.wait_for(guard, kLong, [this] { return is_open_; }));
  }
  void open() {
    std::lock_guard guard(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void wait_for_arrival() {
    std::unique_lock guard(mutex_);
    ASSERT_TRUE(changed_.wait_for(guard, kLong, [this] { return arrived_ > 0; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool is_open_ = false;
};

// The lease, which the first append of all renews, is out of the way: only segments are synced.
void append_first(Partition& partition) {
  append_values(partition, 0);
  partition.sync();
}

void await_end(Partition& partition, int64_t end_offset) {
  ASSERT_TRUE(partition.wait(end_offset - 1, kLongUs));
}

class LogDurableTest : public ::testing::Test {
 protected:
  void hold_syncs() {
    files_->before_sync = [this] { gate_.pass(); };
    files_->is_watching = true;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<WatchedFiles> files_ = std::make_shared<WatchedFiles>();
  Gate gate_;
};

TEST_F(LogDurableTest, AnAppendThatReturnsIsDurable) {
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options(0, 32 * 1024));
  append_first(*partition);
  for (int64_t i = 0; i < 20; ++i) {
    const int64_t first = partition->ends().log_end_offset;
    append_values(*partition, first, 500, Acks::kDurable);
    EXPECT_EQ(partition->ends().durable_offset, first + 500);
  }
  files_->calls.clear();
  append_values(*partition, 10'001, 1, Acks::kDurable);
  EXPECT_EQ(files_->calls["sync_data"], 1);
  partition->sync();
  EXPECT_TRUE(partition->sync_to(10'002, 0));
  EXPECT_TRUE(partition->sync_to(INT64_MAX, 0));  // what is not there yet needs no sync
  EXPECT_EQ(files_->calls["sync_data"], 1);
  EXPECT_EQ(read_values(*partition), iota(0, 10'002));
}

TEST_F(LogDurableTest, TheSecondWaiterRidesOnTheFirstOnesSync) {
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options());
  append_first(*partition);
  hold_syncs();
  files_->calls.clear();
  std::thread first([&] { append_values(*partition, 1, 1, Acks::kDurable); });
  gate_.wait_for_arrival();
  // All of these are published while the first sync runs, which does not cover them.
  std::vector<std::thread> others;
  for (int i = 0; i < 5; ++i) {
    others.emplace_back([&] { append_values(*partition, 2, 1, Acks::kDurable); });
  }
  await_end(*partition, 7);
  EXPECT_EQ(partition->ends().durable_offset, 1);
  gate_.open();
  first.join();
  for (std::thread& other : others) other.join();
  EXPECT_EQ(files_->calls["sync_data"], 2);
  EXPECT_EQ(partition->ends().durable_offset, 7);
}

// As one that was killed in its sync leaves it, or a bit that flipped.
TEST_F(LogDurableTest, AHintThatASyncRunsHoldsUpNobodyForLong) {
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options());
  append_first(*partition);
  for (const int64_t hint : {int64_t{1}, int64_t{-1}, INT64_MAX}) {
    const std::string bytes(reinterpret_cast<const char*>(&hint), sizeof(hint));
    write_bytes(partition_directory(directory_.path()) + "/control", kSyncingEnd, bytes);
    const int64_t end = append_values(*partition, 1, 1, Acks::kDurable).base_offset + 1;
    EXPECT_EQ(partition->ends().durable_offset, end);
  }
}

// A log of its own is to the kernel's locks what another process is.
TEST_F(LogDurableTest, ALogThatWaitsForAnothersSyncRidesOnIt) {
  const auto other_files = std::make_shared<FakeFiles>();
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto other = Log::open(directory_.path(), options_with(other_files));
  const auto partition = log->open_partition(test_options());
  append_first(*partition);
  const auto others = other->open_partition(test_options());
  append_values(*others, 1);  // covered by the sync below
  hold_syncs();
  other_files->calls.clear();
  std::thread first([&] { partition->sync(); });
  gate_.wait_for_arrival();
  EXPECT_FALSE(others->sync_to(2, 1'000));
  std::thread second([&] { EXPECT_TRUE(others->sync_to(2, kLongUs)); });
  gate_.open();
  first.join();
  second.join();
  EXPECT_EQ(other_files->calls["sync_data"], 0);
}

struct Counters {
  std::atomic<int> syncs;
  std::atomic<int> wrong;
  std::atomic<int> done;
};

// Threads of several processes commit together: each acknowledged batch is durable, with far fewer
// syncs than batches. A sync takes half a millisecond, as on a disk.
TEST_F(LogDurableTest, ThreadsAndProcessesShareSyncs) {
  constexpr int kProcesses = 3;
  constexpr int kThreads = 4;
  constexpr int kBatches = 40;
  auto* counters = static_cast<Counters*>(
      ::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const auto commit_all = [&] {
    const auto files = std::make_shared<WatchedFiles>();
    files->before_sync = [&] {
      ++counters->syncs;
      ::usleep(500);
    };
    files->is_watching = true;
    const auto log = Log::open(directory_.path(), options_with(files));
    const auto partition = log->open_partition(test_options());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kBatches; ++i) {
          const AppendResult result = append_values(*partition, 7, 3, Acks::kDurable);
          if (partition->ends().durable_offset < result.base_offset + 3) ++counters->wrong;
          ++counters->done;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  std::vector<std::unique_ptr<WaitingProcess>> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.push_back(std::make_unique<WaitingProcess>(commit_all));
  }
  for (const auto& process : processes) process->let_go();
  for (const auto& process : processes) EXPECT_EQ(process->wait(), 0);
  const int batches = kProcesses * kThreads * kBatches;
  EXPECT_EQ(counters->done, batches);
  EXPECT_EQ(counters->wrong, 0);
  EXPECT_LT(counters->syncs, batches / 2);
  std::printf("%d batches, %d syncs\n", batches, counters->syncs.load());
  const auto log = Log::open(directory_.path());
  EXPECT_EQ(read_values(*log->open_partition(test_options())).size(), size_t{3} * batches);
  ::munmap(counters, sizeof(Counters));
}

// What another process does in the middle of a sync.
class LogDurableProcessTest : public LogDurableTest {
 protected:
  // A process that appends a batch and then stays in its sync until it is killed. It says so.
  std::function<void()> stuck_in_sync() {
    return [this] {
      const auto files = std::make_shared<WatchedFiles>();
      files->FileLayer::boot_id(&files->boot);
      const auto log = Log::open(directory_.path(), options_with(files));
      leak(log);
      const auto partition = log->open_partition(test_options());
      append_first(*partition);
      files->before_sync = [this] {
        if (::write(said_[1], "s", 1) == 1) {
          for (;;) ::pause();
        }
      };
      files->is_watching = true;
      append_values(*partition, 1, 1, Acks::kDurable);
    };
  }
  void wait_until_stuck() {
    pollfd waiting{said_[0], POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, static_cast<int>(kLongUs / 1'000)), 1);
  }

  LogDurableProcessTest() { EXPECT_EQ(::pipe(said_), 0); }
  ~LogDurableProcessTest() override {
    for (const int fd : said_) ::close(fd);
  }

  int said_[2];
};

TEST_F(LogDurableProcessTest, AKilledHolderOfTheFlushLockHoldsUpNobody) {
  WaitingProcess other(stuck_in_sync());
  other.let_go();
  wait_until_stuck();
  const auto log = Log::open(directory_.path());
  const auto partition = log->open_partition(test_options());
  std::thread waiter(
      [&] { EXPECT_EQ(append_values(*partition, 2, 1, Acks::kDurable).base_offset, 2); });
  await_end(*partition, 3);
  EXPECT_EQ(partition->ends().durable_offset, 1);
  other.kill();
  waiter.join();
  EXPECT_EQ(partition->ends().durable_offset, 3);
  EXPECT_EQ(read_values(*partition), iota(0, 3));
}

TEST_F(LogDurableProcessTest, AStoppedHolderIsATimeoutThatNamesItsPid) {
  WaitingProcess other(stuck_in_sync());
  other.let_go();
  wait_until_stuck();
  LogOptions options;
  options.lock_timeout_us = 20'000;
  options.sync_interval_us = 3'600'000'000;
  const auto log = Log::open(directory_.path(), options);
  const auto partition = log->open_partition(test_options());
  const std::string holder = "process " + std::to_string(other.pid()) + " has been syncing";
  expect_error(ErrorCode::kRequestTimeout, holder,
               [&] { append_values(*partition, 2, 1, Acks::kDurable); });
  // It was published, though: nothing is lost that a later sync does not save.
  EXPECT_EQ(read_values(*partition), iota(0, 3));
  EXPECT_EQ(partition->ends().durable_offset, 1);
  other.kill();
  partition->sync();
  EXPECT_EQ(partition->ends().durable_offset, 3);
}

TEST_F(LogDurableTest, ClosingWaitsForThoseThatWaitForASync) {
  auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options());
  append_first(*partition);
  hold_syncs();
  std::thread syncing([&] { append_values(*partition, 1, 1, Acks::kDurable); });
  gate_.wait_for_arrival();
  std::thread waiting([&] { append_values(*partition, 2, 1, Acks::kDurable); });
  await_end(*partition, 3);
  std::thread closing([&] { log->close(); });
  gate_.open();
  for (std::thread* thread : {&syncing, &waiting, &closing}) thread->join();
  const auto again = Log::open(directory_.path(), options_with(std::make_shared<FakeFiles>()));
  EXPECT_EQ(again->open_partition(test_options())->ends().durable_offset, 3);
}

TEST_F(LogDurableTest, ADeletedTopicIsSaidAndDoesNotPoison) {
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options());
  append_first(*partition);
  files_->set_fail([this](const std::string& call, int) {
    if (call != "sync_data") return 0;
    std::filesystem::remove_all(directory_ / "topics");
    return EIO;
  });
  expect_error(ErrorCode::kUnknownTopic, "was deleted before its records were durable",
               [&] { append_values(*partition, 1, 1, Acks::kDurable); });
  files_->set_fail(nullptr);
}

// A lease that only the page cache has is none: after a power loss its offsets would be given out
// again. Found by the next writer, it is written anew.
TEST_F(LogDurableTest, ALeaseThatWasNotSyncedIsNotCountedOn) {
  const auto log = Log::open(directory_.path(), options_with(files_));
  const auto partition = log->open_partition(test_options());
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  expect_error(ErrorCode::kStorage, "cannot sync", [&] { append_values(*partition, 0); });
  files_->set_fail(nullptr);
  files_->calls.clear();
  EXPECT_EQ(append_values(*partition, 0).base_offset, 0);
  EXPECT_EQ(files_->calls["sync_data"], 1);
  append_values(*partition, 1);
  EXPECT_EQ(files_->calls["sync_data"], 1);
}

// The background syncs of several logs on one partition: together they make one per interval.
TEST_F(LogDurableTest, OneBackgroundSyncPerIntervalWhoeverAppends) {
  constexpr int64_t kIntervalUs = 20'000;
  constexpr int kLogs = 4;
  std::vector<std::shared_ptr<FakeFiles>> files;
  std::vector<std::shared_ptr<Log>> logs;
  std::vector<std::shared_ptr<Partition>> partitions;
  for (int i = 0; i < kLogs; ++i) {
    files.push_back(std::make_shared<FakeFiles>());
    LogOptions options = options_with(files.back());
    options.sync_interval_us = kIntervalUs;
    logs.push_back(Log::open(directory_.path(), options));
    partitions.push_back(logs.back()->open_partition(test_options()));
  }
  append_first(*partitions[0]);
  const int64_t before = files[0]->calls["sync_data"];
  const auto start = std::chrono::steady_clock::now();
  for (int64_t value = 1; value <= 300; ++value) {
    const auto writer = static_cast<size_t>(value) % kLogs;
    append_values(*partitions[writer], value, 1, Acks::kInterval);
    ::usleep(1'000);
  }
  for (int i = 0; i < 60'000 && partitions[0]->ends().durable_offset < 301; ++i) ::usleep(1'000);
  EXPECT_EQ(partitions[0]->ends().durable_offset, 301);
  const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  int64_t syncs = -before;
  for (int i = 0; i < kLogs; ++i) {
    logs[static_cast<size_t>(i)]->close();
    syncs += files[static_cast<size_t>(i)]->calls["sync_data"];
  }
  // Each log's close returns the lease, which syncs the control file.
  EXPECT_LE(syncs - kLogs, elapsed.count() / kIntervalUs + 2);
}

}  // namespace
}  // namespace pystream::storage
