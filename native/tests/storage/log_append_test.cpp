// Appending and reading in one process: what goes in comes out, in order, across segments.

#include <thread>

#include "log_testing.hpp"

namespace pystream::storage {
namespace {

class LogAppendTest : public ::testing::Test {
 protected:
  std::shared_ptr<Log> open() {
    logs_.push_back(Log::open(directory_.path()));
    return logs_.back();
  }
  TemporaryDirectory directory_;
  std::vector<std::shared_ptr<Log>> logs_;
};

TEST_F(LogAppendTest, ANewPartitionIsEmpty) {
  const auto partition = open()->open_partition(test_options());
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kCreated);
  EXPECT_EQ(partition->ends().log_end_offset, 0);
  EXPECT_FALSE(partition->reader(0)->next().has_value());
}

TEST_F(LogAppendTest, ReadsBackWhatWasAppended) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  const AppendResult first = append_values(*partition, 100, 3);
  const AppendResult second = append_values(*partition, 200, 2);
  EXPECT_EQ(first.base_offset, 0);
  EXPECT_EQ(second.base_offset, 3);
  EXPECT_EQ(first.append_sequence, 1u);
  EXPECT_EQ(second.append_sequence, 2u);
  EXPECT_EQ(partition->ends().log_end_offset, 5);

  const auto reader = partition->reader(0);
  const auto batch = reader->next();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(values_of(*batch), iota(100, 3));
  EXPECT_EQ(batch->append_sequence(), 1u);
  EXPECT_EQ(batch->header().append_time_us, first.append_time_us);
  EXPECT_EQ(reader->position(), 3);
  EXPECT_EQ(values_of(*reader->peek()), iota(200, 2));
  EXPECT_EQ(reader->position(), 3);
  EXPECT_EQ(values_of(*reader->next()), iota(200, 2));
  EXPECT_FALSE(reader->next().has_value());
  append_values(*partition, 300);
  EXPECT_EQ(values_of(*reader->next()), iota(300, 1));
}

TEST_F(LogAppendTest, ReopeningFindsEverything) {
  {
    const auto log = open();
    append_values(*log->open_partition(test_options()), 0, 10);
    log->close();
  }
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kNone);
  EXPECT_EQ(append_values(*partition, 10, 5).base_offset, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 15));
}

TEST_F(LogAppendTest, SegmentsRollAndReadersCrossThem) {
  const auto log = open();
  const auto partition = log->open_partition(test_options(0, 32 * 1024));
  const auto early_reader = partition->reader(0);
  for (int64_t i = 0; i < 200; ++i) append_values(*partition, 10 * i, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 2000));
  std::vector<int64_t> seen;
  while (const auto batch = early_reader->next()) {
    for (int64_t value : values_of(*batch)) seen.push_back(value);
  }
  EXPECT_EQ(seen, iota(0, 2000));
  int64_t segments = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
    if (entry.path().extension() != ".seg") continue;
    ++segments;
    EXPECT_LE(entry.file_size(), 32u * 1024);
  }
  EXPECT_GT(segments, 1);
}

TEST_F(LogAppendTest, EveryOffsetCanBeSought) {
  const auto log = open();
  const auto partition = log->open_partition(test_options(0, 16 * 1024));
  for (int64_t i = 0; i < 60; ++i) append_values(*partition, 7 * i, 7);
  for (const int64_t step : {-1, 1, 17}) {
    // A reader that knows nothing of the segments yet.
    const auto fresh_log = Log::open(directory_.path());
    const auto reader = fresh_log->open_partition(test_options(0, 16 * 1024))->reader(0);
    for (int64_t i = 0; i < 420; ++i) {
      const int64_t offset = ((i * step) % 420 + 420) % 420;
      reader->seek(offset);
      const auto batch = reader->next();
      ASSERT_TRUE(batch.has_value());
      EXPECT_LE(batch->base_offset(), offset);
      EXPECT_GT(batch->next_offset(), offset);
      EXPECT_EQ(values_of(*batch)[static_cast<size_t>(offset - batch->base_offset())], offset);
    }
    reader->seek(420);
    EXPECT_FALSE(reader->next().has_value());
  }
}

TEST_F(LogAppendTest, OffsetsOutsideTheEndsAreRefused) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 4);
  expect_error(ErrorCode::kOffsetOutOfRange, "offset 5 is out of range for orders-0",
               [&] { partition->reader(5); });
  expect_error(ErrorCode::kOffsetOutOfRange, "log end offset is 4", [&] { partition->reader(-1); });
}

TEST_F(LogAppendTest, ABatchLargerThanASegmentGetsALargerSegment) {
  const auto log = open();
  const auto partition = log->open_partition(test_options(0, 64 * 1024));
  append_values(*partition, 0, 10);
  append_values(*partition, 10, 100'000);
  append_values(*partition, 100'010, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 100'020));
}

TEST_F(LogAppendTest, ViewsOutliveLogAndFiles) {
  std::optional<LogBatch> batch;
  {
    const auto log = open();
    const auto partition = log->open_partition(test_options());
    append_values(*partition, 0, 1000);
    batch = partition->reader(0)->next();
    log->close();
  }
  std::filesystem::remove_all(directory_.path());
  EXPECT_EQ(values_of(*batch), iota(0, 1000));
}

TEST_F(LogAppendTest, ThreadsAppendWithoutLoss) {
  const auto log = open();
  const auto partition = log->open_partition(test_options(0, 128 * 1024));
  constexpr int64_t kThreads = 4;
  constexpr int64_t kBatches = 200;
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < kBatches; ++i) append_values(*partition, (t * kBatches + i) * 3, 3);
    });
  }
  // A reader follows while they write.
  std::vector<int64_t> values;
  const auto reader = partition->reader(0);
  uint64_t last_sequence = 0;
  while (static_cast<int64_t>(values.size()) < kThreads * kBatches * 3) {
    const auto batch = reader->next();
    if (!batch) {
      partition->wait(reader->position(), 1'000'000);
      continue;
    }
    EXPECT_GT(batch->append_sequence(), last_sequence);
    last_sequence = batch->append_sequence();
    for (const int64_t value : values_of(*batch)) values.push_back(value);
  }
  for (std::thread& thread : threads) thread.join();
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, iota(0, kThreads * kBatches * 3));
}

TEST_F(LogAppendTest, TwoLogsOfOneDirectorySeeEachOther) {
  const auto left = open()->open_partition(test_options(0, 32 * 1024));
  const auto right = open()->open_partition(test_options(0, 32 * 1024));
  for (int64_t i = 0; i < 200; ++i) append_values(i % 2 == 0 ? *left : *right, 5 * i, 5);
  EXPECT_EQ(read_values(*left), iota(0, 1000));
  EXPECT_EQ(read_values(*right), iota(0, 1000));
}

TEST_F(LogAppendTest, AfterCloseEverythingSaysSo) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0);
  const auto reader = partition->reader(0);
  log->close();
  log->close();
  EXPECT_TRUE(log->is_closed());
  expect_error(ErrorCode::kClosed, "is closed", [&] { append_values(*partition, 1); });
  expect_error(ErrorCode::kClosed, "is closed", [&] { reader->next(); });
  expect_error(ErrorCode::kClosed, "is closed", [&] { partition->ends(); });
  expect_error(ErrorCode::kClosed, "is closed", [&] { partition->wait(0, 0); });
  expect_error(ErrorCode::kClosed, "is closed", [&] { log->open_partition(test_options()); });
}

TEST_F(LogAppendTest, WrongOptionsAreRefused) {
  const auto log = open();
  PartitionOptions options = test_options();
  options.schema = nullptr;
  expect_error(ErrorCode::kConfig, "has no schema", [&] { log->open_partition(options); });
  options = test_options(-1);
  expect_error(ErrorCode::kConfig, "is negative", [&] { log->open_partition(options); });
  options = test_options(0, 100);
  expect_error(ErrorCode::kConfig, "segment_bytes", [&] { log->open_partition(options); });
}

}  // namespace
}  // namespace pystream::storage
