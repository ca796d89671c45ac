// What is durable, and when.

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

class LogSyncTest : public ::testing::Test {
 protected:
  LogSyncTest() {
    options_.files = files_;
    options_.sync_interval_us = 3'600'000'000;
  }
  TemporaryDirectory directory_;
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  LogOptions options_;
};

TEST_F(LogSyncTest, PublishedIsNotDurableUntilASync) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options(0, 32 * 1024));
  for (int64_t i = 0; i < 50; ++i) append_values(*partition, 100 * i, 100);
  EXPECT_EQ(partition->ends().durable_offset, 0);
  files_->calls.clear();
  partition->sync();
  EXPECT_EQ(partition->ends().durable_offset, 5000);
  EXPECT_GT(files_->calls["sync_data"], 1);       // every segment
  EXPECT_EQ(files_->calls["sync_directory"], 4);  // the new directories, up to the log's
  partition->sync();
  EXPECT_EQ(files_->calls["sync_directory"], 4);  // nothing new
  append_values(*partition, 0);
  files_->calls.clear();
  partition->sync();
  EXPECT_EQ(files_->calls["sync_data"], 1);
  EXPECT_EQ(files_->calls["sync_directory"], 0);
}

TEST_F(LogSyncTest, IntervalAppendsAreSyncedInTheBackground) {
  options_.sync_interval_us = 1'000;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  for (int64_t round = 1; round <= 3; ++round) {
    append_values(*partition, round, 1, Acks::kInterval);
    await([&] { return partition->ends().durable_offset == round; });
  }
}

TEST_F(LogSyncTest, PublishedAppendsAreNotSyncedInTheBackground) {
  options_.sync_interval_us = 1'000;
  const auto log = Log::open(directory_.path(), options_);
  const auto quiet = log->open_partition(test_options(0));
  const auto busy = log->open_partition(test_options(1));
  append_values(*quiet, 0);
  for (int64_t i = 1; i <= 10; ++i) {
    append_values(*busy, i, 1, Acks::kInterval);
    await([&] { return busy->ends().durable_offset == i; });
  }
  EXPECT_EQ(quiet->ends().durable_offset, 0);
}

TEST_F(LogSyncTest, WhatADeadProcessDidNotSyncIsSyncedByAnother) {
  WaitingProcess writer([&] {
    LogOptions options;
    options.files = files_;
    options.sync_interval_us = 3'600'000'000;
    const auto own = Log::open(directory_.path(), options);
    leak(own);
    append_values(*own->open_partition(test_options()), 0, 5, Acks::kInterval);
  });
  options_.sync_interval_us = 1'000;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  writer.let_go();
  ASSERT_EQ(writer.wait(), 0);
  await([&] { return partition->ends().durable_offset == 5; });
}

TEST_F(LogSyncTest, CloseSyncs) {
  {
    const auto log = Log::open(directory_.path(), options_);
    append_values(*log->open_partition(test_options()), 0, 5, Acks::kInterval);
  }
  const auto log = Log::open(directory_.path(), options_);
  EXPECT_EQ(log->open_partition(test_options())->ends().durable_offset, 5);
}

// Partition 0 has nothing to lose, and its lease stays; 1 and 2 lose what was appended.
TEST_F(LogSyncTest, CloseNamesEveryPartitionWhoseSyncFails) {
  const auto log = Log::open(directory_.path(), options_);
  for (int32_t number = 0; number < 3; ++number) {
    const auto partition = log->open_partition(test_options(number));
    append_values(*partition, 0, 5, Acks::kInterval);
    if (number == 0) partition->sync();
  }
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  try {
    log->close();
    FAIL() << "closing lost records in silence";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStorage);
    const std::string what = error.what();
    EXPECT_EQ(what.find("the sync of orders-1 failed"), 0u) << what;
    EXPECT_NE(what.find("Closing failed for these partitions too: orders-2."), std::string::npos)
        << what;
  }
}

TEST_F(LogSyncTest, CloseLosesNothingWhenOnlyTheLeaseCannotBeReturned) {
  {
    const auto log = Log::open(directory_.path(), options_);
    const auto partition = log->open_partition(test_options());
    append_values(*partition, 0, 5);
    partition->sync();
    files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
    log->close();
  }
  files_->set_fail(nullptr);
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 5);
  EXPECT_EQ(read_values(*partition), iota(0, 6));
}

TEST_F(LogSyncTest, BatchesCarryTheDurableOffset) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 5);
  partition->sync();
  append_values(*partition, 5, 5);
  const auto reader = partition->reader(0);
  EXPECT_EQ(reader->next()->header().durable_offset, 0);
  EXPECT_EQ(reader->next()->header().durable_offset, 5);
}

TEST_F(LogSyncTest, AFailedSyncStopsAppendsAndNotReads) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 5);
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  expect_error(ErrorCode::kStorage, "cannot sync: " + segment_file(directory_.path(), 0),
               [&] { partition->sync(); });
  files_->set_fail(nullptr);
  files_->calls.clear();
  expect_error(ErrorCode::kStorage, "takes no more appends", [&] { append_values(*partition, 5); });
  expect_error(ErrorCode::kStorage, "takes no more appends", [&] { partition->sync(); });
  EXPECT_EQ(files_->calls["sync_data"], 0);  // never tried again
  EXPECT_EQ(partition->ends().durable_offset, 0);
  EXPECT_EQ(read_values(*partition), iota(0, 5));
}

TEST_F(LogSyncTest, AFailedSyncStopsTheAppendsOfAllWhoHaveThePartitionOpen) {
  const auto log = Log::open(directory_.path(), options_);
  const auto other = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  const auto others = other->open_partition(test_options());
  append_values(*partition, 0, 5);
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EDQUOT : 0; });
  expect_error(ErrorCode::kStorage, "cannot sync", [&] { others->sync(); });
  files_->set_fail(nullptr);
  for (const Acks acks : {Acks::kPublished, Acks::kInterval, Acks::kDurable}) {
    try {
      append_values(*partition, 5, 1, acks);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kStorage);
      std::map<std::string, std::variant<int64_t, std::string>> facts(error.facts().begin(),
                                                                      error.facts().end());
      EXPECT_EQ(std::get<int64_t>(facts["errno"]), EDQUOT);
      EXPECT_EQ(std::get<std::string>(facts["path"]), partition_directory(directory_.path()));
    }
  }
  EXPECT_EQ(read_values(*partition), iota(0, 5));
}

// No sync was begun, so nothing is lost that a later one cannot make durable.
TEST_F(LogSyncTest, ASyncThatFindsNoDescriptorIsToldAndTriedAgain) {
  options_.sync_interval_us = 1'000;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  std::atomic<int> refused{0};
  files_->set_fail([&](const std::string& call, int) {
    if (call != "sync_directory") return 0;
    ++refused;
    return EMFILE;
  });
  append_values(*partition, 0, 10, Acks::kInterval);
  await([&] { return refused > 1; });  // in the background, again and again
  expect_error(ErrorCode::kStorage, "orders-0 could not be synced",
               [&] { append_values(*partition, 10, 10, Acks::kDurable); });
  EXPECT_EQ(partition->ends().durable_offset, 0);
  // It cannot have the promise that it asks for.
  expect_error(ErrorCode::kStorage, "(RLIMIT_NOFILE)",
               [&] { append_values(*partition, 20, 10, Acks::kInterval); });
  files_->set_fail(nullptr);
  await([&] { return partition->ends().durable_offset == 30; });
  append_values(*partition, 30, 10, Acks::kInterval);
  EXPECT_EQ(read_values(*partition), iota(0, 40));
}

// What it has done, nobody knows.
TEST_F(LogSyncTest, ASyncThatItselfFindsNoMemoryOrRightHasFailed) {
  for (const int error : {ENOMEM, EACCES, EPERM}) {
    const TemporaryDirectory directory;
    const auto log = Log::open(directory.path(), options_);
    const auto partition = log->open_partition(test_options());
    append_values(*partition, 0);
    files_->set_fail(
        [error](const std::string& call, int) { return call == "sync_data" ? error : 0; });
    EXPECT_THROW(append_values(*partition, 1, 1, Acks::kDurable), Error);
    files_->set_fail(nullptr);
    expect_error(ErrorCode::kStorage, "a sync of orders-0 failed",
                 [&] { append_values(*partition, 2); });
    EXPECT_THROW(log->close(), Error);
  }
}

TEST_F(LogSyncTest, AFailedBackgroundSyncIsToldToTheNextAppend) {
  options_.sync_interval_us = 1'000;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0);
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  append_values(*partition, 1, 1, Acks::kInterval);
  await([&] {
    try {
      append_values(*partition, 2);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kStorage;
    }
    return false;
  });
  files_->set_fail(nullptr);
}

}  // namespace
}  // namespace pystream::storage
