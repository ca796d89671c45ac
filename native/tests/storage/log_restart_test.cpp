// After a failed sync: what was not durable counts as unwritten, the partition goes on in a new
// incarnation for those who open it anew, and everyone else is told.

#include <cerrno>
#include <set>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 24 * 1024;
constexpr int64_t kBatch = 200;

class LogRestartTest : public ::testing::Test {
 protected:
  LogRestartTest() { log_ = open(files_); }

  std::shared_ptr<Log> open(const std::shared_ptr<FakeFiles>& files, bool read_only = false) {
    LogOptions options;
    options.files = files;
    options.sync_interval_us = 3'600'000'000;
    options.read_only = read_only;
    return Log::open(directory_.path(), options);
  }

  static std::shared_ptr<Partition> partition_of(const std::shared_ptr<Log>& log) {
    return log->open_partition(test_options(0, kSegmentBytes));
  }

  static void append_batches(Partition& partition, int64_t first, int64_t count, Acks acks) {
    for (int64_t i = 0; i < count; ++i)
      append_values(partition, (first + i) * kBatch, kBatch, acks);
  }

  void fail_sync(Partition& partition) {
    files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
    expect_error(ErrorCode::kStorage, "cannot sync", [&] { partition.sync(); });
    files_->set_fail(nullptr);
  }

  // Ten durable batches, then `lost` published ones whose sync fails.
  std::shared_ptr<Partition> poisoned(int64_t lost) {
    const auto partition = partition_of(log_);
    append_batches(*partition, 0, 10, Acks::kDurable);
    append_batches(*partition, 10, lost, Acks::kPublished);
    fail_sync(*partition);
    return partition;
  }

  std::set<std::string> files_ending_in(const std::string& end) {
    std::set<std::string> found;
    for (const auto& entry :
         std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
      if (entry.path().string().ends_with(end)) found.insert(entry.path().filename());
    }
    return found;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  std::shared_ptr<Log> log_;
};

TEST_F(LogRestartTest, TheLogGoesOnBehindWhatIsDurable) {
  const auto old = poisoned(3);
  const int64_t seen = old->ends().log_end_offset;
  EXPECT_EQ(seen, 13 * kBatch);
  const auto log = open(std::make_shared<FakeFiles>());
  const auto partition = partition_of(log);
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(partition->recovery().corrupt_records, 0);
  EXPECT_EQ(read_values(*partition), iota(0, 10 * kBatch));
  const AppendResult result = append_values(*partition, 10 * kBatch, kBatch, Acks::kDurable);
  EXPECT_GE(result.base_offset, seen) << "an offset was given out twice";
  EXPECT_EQ(partition->ends().durable_offset, result.base_offset + kBatch);
  EXPECT_EQ(read_values(*partition), iota(0, 11 * kBatch));
  // The next one to open finds a sound partition.
  const auto later = open(std::make_shared<FakeFiles>());
  EXPECT_EQ(partition_of(later)->recovery().kind, RecoveryReport::Kind::kNone);
  EXPECT_EQ(read_values(*partition_of(later)), iota(0, 11 * kBatch));
}

// The file still holds them, and a new boot has nothing but the files to go by.
TEST_F(LogRestartTest, WhatWasGivenUpDoesNotComeBackWithTheNextBoot) {
  poisoned(3);
  const auto log = open(std::make_shared<FakeFiles>());
  const int64_t end = partition_of(log)->ends().log_end_offset;
  log->close();
  const auto files = std::make_shared<FakeFiles>();
  files->boot = {9};
  const auto next = open(files);
  const auto partition = partition_of(next);
  EXPECT_EQ(read_values(*partition), iota(0, 10 * kBatch));
  EXPECT_EQ(partition->ends().log_end_offset, end);
}

TEST_F(LogRestartTest, APartitionOpensThoughTheDiskStillFails) {
  poisoned(3);
  const auto files = std::make_shared<FakeFiles>();
  files->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  const auto log = open(files);
  const auto partition = partition_of(log);
  EXPECT_EQ(read_values(*partition), iota(0, 10 * kBatch));
  files->set_fail(nullptr);
  EXPECT_GE(append_values(*partition, 10 * kBatch, kBatch, Acks::kDurable).base_offset,
            13 * kBatch);
}

TEST_F(LogRestartTest, OlderObjectsAreToldToOpenTheLogAgain) {
  const auto old = poisoned(1);
  const auto reader = old->reader(0);
  const auto watcher = open(std::make_shared<FakeFiles>(), true);  // it cannot start anew
  const auto watched = partition_of(watcher);
  EXPECT_EQ(read_values(*watched), iota(0, 11 * kBatch)) << "reading goes on";
  const auto log = open(std::make_shared<FakeFiles>());
  const auto partition = partition_of(log);
  append_values(*partition, 0, 1, Acks::kDurable);
  const std::vector<std::shared_ptr<Partition>> both{old};
  const std::vector<int64_t> offsets{0};
  const std::vector<std::function<void()>> uses{
      [&] { append_values(*old, 0); },
      [&] { append_values(*old, 0, 1, Acks::kDurable); },
      [&] { old->sync(); },
      [&] { old->sync_to(11 * kBatch, 0); },
      [&] { old->ends(); },
      [&] { old->wait(0, 0); },
      [&] {
        while (reader->next()) {
        }
      },
      [&] { old->reader(0); },
      [&] { log_->frontier(both); },
      [&] { log_->wait_any(both, offsets, 0); },
      [&] { watched->ends(); },
      [&] { read_values(*watched); },
  };
  for (size_t i = 0; i < uses.size(); ++i) {
    SCOPED_TRACE("use " + std::to_string(i));
    expect_error(ErrorCode::kStorage, "Open the log again", uses[i]);
  }
  expect_error(ErrorCode::kStorage, "Open the log again", [&] { log_->close(); });
}

TEST_F(LogRestartTest, LiveViewsAndPublishedBytesStay) {
  const auto old = poisoned(1);
  const auto reader = old->reader(0);
  std::vector<LogBatch> views;
  while (auto batch = reader->next()) views.push_back(std::move(*batch));
  ASSERT_EQ(views.size(), 11u);
  std::map<std::string, std::string> before;
  for (const std::string& name : files_ending_in(".seg")) {
    before[name] = read_bytes(partition_directory(directory_.path()) + "/" + name);
  }
  const auto log = open(std::make_shared<FakeFiles>());
  append_batches(*partition_of(log), 10, 30, Acks::kDurable);
  for (size_t i = 0; i < views.size(); ++i) {
    EXPECT_EQ(values_of(views[i]), iota(static_cast<int64_t>(i) * kBatch, kBatch));
  }
  const std::set<std::string> names = files_ending_in(".seg");
  for (const auto& [name, bytes] : before) {
    const std::string now = names.contains(name) ? name : name + ".torn";
    EXPECT_EQ(read_bytes(partition_directory(directory_.path()) + "/" + now), bytes) << name;
  }
}

TEST_F(LogRestartTest, SegmentsAboveWhatIsDurableAreSetAside) {
  poisoned(40);
  const size_t segments = files_ending_in(".seg").size();
  const auto log = open(std::make_shared<FakeFiles>());
  const auto partition = partition_of(log);
  EXPECT_GT(files_ending_in(".torn").size(), 3u);
  EXPECT_EQ(files_ending_in(".torn").size() + files_ending_in(".seg").size(), segments);
  EXPECT_GT(partition->recovery().torn_bytes, 0);
  append_batches(*partition, 10, 40, Acks::kDurable);
  EXPECT_EQ(read_values(*partition), iota(0, 50 * kBatch));
}

TEST_F(LogRestartTest, APartitionOfWhichNothingIsDurableBeginsEmpty) {
  const auto old = partition_of(log_);
  append_batches(*old, 0, 5, Acks::kPublished);
  fail_sync(*old);
  const auto log = open(std::make_shared<FakeFiles>());
  const auto partition = partition_of(log);
  EXPECT_EQ(read_values(*partition), iota(0, 0));
  EXPECT_FALSE(partition->wait(0, 0)) << "skipped offsets are nothing to wait for";
  EXPECT_GE(append_values(*partition, 0, kBatch, Acks::kDurable).base_offset, 5 * kBatch);
  EXPECT_EQ(read_values(*partition), iota(0, kBatch));
}

TEST_F(LogRestartTest, ASegmentWhoseSyncFailedIsNeverSyncedAgain) {
  poisoned(1);
  const auto files = std::make_shared<FakeFiles>();
  const auto log = open(files);
  const auto partition = partition_of(log);
  EXPECT_EQ(files->calls["sync_data"], 1);  // the control page, which says what was given up
  append_values(*partition, 10 * kBatch, kBatch, Acks::kDurable);
  EXPECT_EQ(files->calls["sync_data"], 3);  // the lease, the new segment
}

TEST_F(LogRestartTest, TheDiskMayFailAgainAndAgain) {
  std::vector<int64_t> expected;
  int64_t next_offset = 0;
  const auto append = [&](Partition& partition, Acks acks) {
    const auto first = static_cast<int64_t>(expected.size());
    const AppendResult result = append_values(partition, first, kBatch, acks);
    EXPECT_GE(result.base_offset, next_offset);
    next_offset = result.base_offset + kBatch;
    if (acks == Acks::kDurable) {
      for (const int64_t value : iota(first, kBatch)) expected.push_back(value);
    }
  };
  for (int round = 0; round < 6; ++round) {
    const auto partition = partition_of(log_);
    ASSERT_EQ(read_values(*partition), expected) << "round " << round;
    // In some rounds nothing of the incarnation becomes durable, in some nothing is appended.
    for (int i = 0; i < round % 3; ++i) append(*partition, Acks::kDurable);
    if (round % 4 != 3) append(*partition, Acks::kPublished);
    if (partition->ends().durable_offset < partition->ends().log_end_offset) fail_sync(*partition);
    log_ = open(files_);
  }
  EXPECT_EQ(read_values(*partition_of(log_)), expected);
}

// Fails the sync calls one after the other: what was acknowledged is there, and nothing else.
class LogSyncFailureTest : public LogRestartTest,
                           public ::testing::WithParamInterface<std::pair<std::string, int>> {};

TEST_P(LogSyncFailureTest, AFailureAtAnySyncLosesNothingAcknowledged) {
  const auto& [failing, error] = GetParam();
  for (int number = 1; number < 100; ++number) {
    TemporaryDirectory directory(Medium::kMemory);
    const auto files = std::make_shared<FakeFiles>();
    LogOptions options;
    options.files = files;
    options.sync_interval_us = 3'600'000'000;
    auto log = Log::open(directory.path(), options);
    bool has_failed = false;
    files->calls.clear();
    files->fail = [&, failing = failing, error = error](const std::string& call, int at) {
      if (call != failing || at != number || std::exchange(has_failed, true)) return 0;
      return error;
    };
    auto partition = partition_of(log);
    std::vector<int64_t> acknowledged;
    int64_t next_offset = 0;
    for (int i = 0; i < 30; ++i) {
      const auto first = static_cast<int64_t>(acknowledged.size());
      try {
        const AppendResult result = append_values(*partition, first, kBatch, Acks::kDurable);
        ASSERT_GE(result.base_offset, next_offset);
        next_offset = result.base_offset + kBatch;
        for (const int64_t value : iota(first, kBatch)) acknowledged.push_back(value);
      } catch (const Error& caught) {
        ASSERT_EQ(static_cast<int>(caught.code()), static_cast<int>(ErrorCode::kStorage));
        ASSERT_TRUE(has_failed);
        log = Log::open(directory.path(), options);
        partition = partition_of(log);
        ASSERT_EQ(read_values(*partition), acknowledged) << failing << " " << number;
      }
    }
    ASSERT_EQ(read_values(*partition), acknowledged) << failing << " " << number;
    if (!has_failed) {
      EXPECT_GT(number, 1) << "no sync is ever made";
      return;
    }
  }
  FAIL() << "there are more syncs than the test goes through";
}

INSTANTIATE_TEST_SUITE_P(Calls, LogSyncFailureTest,
                         ::testing::Values(std::pair{"sync_data", EIO},
                                           std::pair{"sync_data", ENOSPC},
                                           std::pair{"sync_directory", EIO}));

}  // namespace
}  // namespace pystream::storage
