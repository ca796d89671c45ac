// Producers: sequences that count up, records sent again that are not stored twice, fencing, and
// from where a producer that died goes on.

#include <cerrno>

#include "format_testing.hpp"
#include "log_crash_testing.hpp"
#include "storage/partitioner.hpp"
#include "storage/sequence_tracker.hpp"
#include "storage/topic_writer.hpp"

namespace pystream::storage {
namespace {

constexpr int32_t kPartitions = 2;
constexpr int64_t kProducerId = 4711;

RecordBatch values(const std::vector<int64_t>& of_rows) {
  return {test_schema(), static_cast<int64_t>(of_rows.size()), {int64_array(of_rows)}};
}

std::vector<std::shared_ptr<Partition>> open_partitions(Log& log) {
  std::vector<std::shared_ptr<Partition>> partitions;
  for (int32_t p = 0; p < kPartitions; ++p) {
    partitions.push_back(log.open_partition(test_options(p, 64 * 1024)));
  }
  return partitions;
}

// A producer named "loader" of a log; each record's value is its sequence.
class Loader {
 public:
  Loader(Log& log, int32_t epoch,
         std::vector<ProducerPosition> positions = std::vector<ProducerPosition>(kPartitions))
      : writer_(open_partitions(log), options(epoch, std::move(positions))) {}

  TopicAppendResult send(const std::vector<int64_t>& sequences, int32_t partition = 0,
                         int64_t complete = -1, RecordBatch batch = {},
                         Acks acks = Acks::kPublished) {
    TopicAppendResult result;
    if (!batch.schema) batch = values(sequences);
    const RecordSequences given{int64_array(sequences), complete};
    writer_.append(batch, {}, nullptr, partition, acks, &result, &given);
    return result;
  }
  TopicWriter& writer() { return writer_; }
  Partition& partition(size_t p = 0) { return *writer_.partitions()[p]; }

 private:
  static TopicWriterOptions options(int32_t epoch, std::vector<ProducerPosition> positions) {
    TopicWriterOptions options;
    options.producer = {kProducerId, epoch, "loader"};
    options.positions = std::move(positions);
    return options;
  }

  TopicWriter writer_;
};

// Read from the first record on.
std::vector<ProducerPosition> from_start() {
  return std::vector<ProducerPosition>(kPartitions, ProducerPosition{0, 1, -1, -1});
}

class ProducerTest : public ::testing::Test {
 protected:
  std::shared_ptr<Log> open() { return Log::open(directory_.path()); }

  TemporaryDirectory directory_{Medium::kMemory};
};

// What a dead producer had only published, its successor promises more for.
TEST_F(ProducerTest, RecordsSentAgainAreSyncedAtTheEndOfTheLog) {
  ASSERT_TRUE(run_and_die([&] {
    const auto log = open();
    leak(log);
    Loader(*log, 1).send({1, 2, 3});
  }));
  LogOptions never;
  never.sync_interval_us = 3'600'000'000;
  {
    const auto log = Log::open(directory_.path(), never);
    Loader again(*log, 2, from_start());
    EXPECT_EQ(again.partition().ends().durable_offset, 0);
    again.send({1, 2, 3}, 0, -1, {}, Acks::kInterval);
    EXPECT_EQ(again.partition().ends().log_end_offset, 3);
  }
  const auto log = Log::open(directory_.path(), never);
  EXPECT_EQ(log->open_partition(test_options())->ends().durable_offset, 3);
}

TEST_F(ProducerTest, WithoutANameSequencesCountUpInEachPartition) {
  const auto log = open();
  const auto partitions = open_partitions(*log);
  TopicWriter writer(partitions, {});
  TopicAppendResult result;
  for (const int32_t partition : {0, 1, 0, 0}) {
    writer.append(values({1, 2, 3}), {}, nullptr, partition, Acks::kPublished, &result);
  }
  const auto reader = partitions[0]->reader(0);
  int64_t id = -1;
  for (int64_t next = 0; next < 9; next += 3) {
    const LogBatch batch = reader->next().value();
    EXPECT_EQ(batch.header().base_sequence, next);
    EXPECT_EQ(batch.header().producer_epoch, 0);
    EXPECT_GE(batch.header().producer_id, 0);
    EXPECT_TRUE(next == 0 || batch.header().producer_id == id);
    id = batch.header().producer_id;
  }
  EXPECT_EQ(partitions[1]->reader(0)->next()->header().base_sequence, 0);
  TopicWriter other(partitions, {});
  other.append(values({9}), {}, nullptr, 0, Acks::kPublished, &result);
  const LogBatch last = reader->next().value();
  EXPECT_NE(last.header().producer_id, id);
  EXPECT_EQ(last.header().base_sequence, 0);
}

TEST_F(ProducerTest, AFailedAppendUsesNoSequence) {
  const auto files = std::make_shared<FakeFiles>();
  LogOptions options;
  options.files = files;
  const auto log = Log::open(directory_.path(), options);
  const auto partitions = open_partitions(*log);
  TopicWriter writer(partitions, {});
  Loader loader(*log, 0);
  TopicAppendResult result;
  writer.append(values({1}), {}, nullptr, 0, Acks::kPublished, &result);
  loader.send({0});
  files->set_fail([](const std::string& call, int) { return call == "pwritev" ? ENOSPC : 0; });
  expect_error(ErrorCode::kStorage, "No space",
               [&] { writer.append(values({2}), {}, nullptr, 0, Acks::kPublished, &result); });
  expect_error(ErrorCode::kStorage, "No space", [&] { loader.send({1}); });
  files->set_fail(nullptr);
  writer.append(values({2}), {}, nullptr, 0, Acks::kPublished, &result);
  EXPECT_EQ(loader.send({1}).duplicate_count(), 0);
  const auto reader = partitions[0]->reader(0);
  std::vector<int64_t> sequences;
  while (const auto batch = reader->next()) sequences.push_back(batch->header().base_sequence);
  EXPECT_EQ(sequences, (std::vector<int64_t>{0, 0, 1, 1}));
}

TEST_F(ProducerTest, ARecordSentAgainIsAnsweredWithItsOffset) {
  const auto log = open();
  Loader loader(*log, 0);
  append_values(loader.partition(), 500, 10);
  loader.send({0, 1, 2});
  loader.send({3, 7, 9});  // with gaps
  const TopicAppendResult again = loader.send({1, 2, 3, 9});
  EXPECT_EQ(again.duplicate_count(), 4);
  EXPECT_EQ(again.published_count(), 4);
  EXPECT_EQ(again.offsets(), (std::vector<int64_t>{11, 12, 13, 15}));
  EXPECT_EQ(loader.partition().ends().log_end_offset, 16);
}

TEST_F(ProducerTest, OnlyTheNewRowsOfAnOverlappingBatchAreAppended) {
  const auto log = open();
  Loader loader(*log, 0);
  loader.send({0, 1, 2});
  const TopicAppendResult result = loader.send({1, 2, 3, 5});
  EXPECT_EQ(result.duplicate_count(), 2);
  EXPECT_EQ(result.offsets(), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(read_values(loader.partition()), (std::vector<int64_t>{0, 1, 2, 3, 5}));
}

TEST_F(ProducerTest, ASequenceThatIsNotRememberedIsFoundInThePartition) {
  const auto log = open();
  Loader loader(*log, 0);
  const auto remembered = static_cast<int64_t>(ProducerState::kRememberedBatches);
  for (int64_t i = 0; i <= 3 * remembered; ++i) {
    append_values(loader.partition(), -1);  // of another producer, between any two
    loader.send({4 * i, 4 * i + 2});
  }
  const auto offset_of = [](int64_t sequence) { return sequence / 4 * 3 + 1 + sequence % 4 / 2; };
  // In order, as programs send again, then in any.
  for (int64_t sequence = 0; sequence <= 12 * remembered; sequence += 2) {
    ASSERT_EQ(loader.send({sequence}).offsets(), std::vector<int64_t>{offset_of(sequence)});
  }
  for (const int64_t sequence : {400, 2, 398, 0, 4, 12 * 64, 6}) {
    EXPECT_EQ(loader.send({sequence}).offsets(), std::vector<int64_t>{offset_of(sequence)});
  }
  // Left out before, and too late now.
  const int64_t last = 12 * remembered + 2;
  const TopicAppendResult result = loader.send({3, 5, 6, last + 1});
  EXPECT_EQ(result.offsets(), (std::vector<int64_t>{-1, -1, offset_of(6), offset_of(last) + 1}));
  EXPECT_EQ(result.duplicate_count(), 3);
}

TEST_F(ProducerTest, ASequenceThatWasDeletedHasNoOffset) {
  const auto log = open();
  Loader loader(*log, 0);
  const auto remembered = static_cast<int64_t>(ProducerState::kRememberedBatches);
  for (int64_t i = 0; i < 2 * remembered; ++i) loader.send({i});
  loader.partition().delete_records(10);
  EXPECT_EQ(loader.send({9}).offsets(), std::vector<int64_t>{-1});
  EXPECT_EQ(loader.send({10}).offsets(), std::vector<int64_t>{10});
  EXPECT_EQ(loader.send({0, 11}).offsets(), (std::vector<int64_t>{-1, 11}));
}

TEST_F(ProducerTest, OfABatchThatIsDeletedInPartTheRestHasOffsets) {
  const auto log = open();
  Loader loader(*log, 0);
  loader.send({0, 1, 2, 3});
  loader.send({10, 12, 14, 16});  // with gaps
  const auto remembered = static_cast<int64_t>(ProducerState::kRememberedBatches);
  for (const bool is_remembered : {true, false}) {
    loader.partition().delete_records(is_remembered ? 2 : 6);
    if (is_remembered) {
      EXPECT_EQ(loader.send({1, 2, 3}).offsets(), (std::vector<int64_t>{-1, 2, 3}));
    }
    EXPECT_EQ(loader.send({12, 14, 16}).offsets(),
              (std::vector<int64_t>{is_remembered ? 5 : -1, 6, 7}));
    for (int64_t i = 0; is_remembered && i <= remembered; ++i) loader.send({20 + i});
  }
}

TEST_F(ProducerTest, WhatAnotherProcessAppendedIsSeenUnderTheLock) {
  const auto log = open();
  const auto elsewhere = open();
  Loader here(*log, 1);
  Loader there(*elsewhere, 1);
  for (int64_t i = 0; i < 3000; i += 3) {  // over several segments
    here.send({i});
    append_values(there.partition(), -1);
    EXPECT_EQ(there.send({i, i + 1}).duplicate_count(), 1);
    const TopicAppendResult result = here.send({i, i + 1, i + 2});
    EXPECT_EQ(result.duplicate_count(), 2);
  }
  std::vector<int64_t> stored = read_values(here.partition());
  std::erase(stored, -1);
  EXPECT_EQ(stored, iota(0, 3000));
}

TEST_F(ProducerTest, AnOlderEpochIsFencedAndAppendsNothing) {
  const auto log = open();
  const auto elsewhere = open();
  Loader older(*log, 3);
  Loader newer(*elsewhere, 4, from_start());
  older.send({0});
  newer.send({1});
  expect_error(ErrorCode::kFenced, "epoch 3 is fenced: one of epoch 4", [&] { older.send({2}); });
  expect_error(ErrorCode::kFenced, "loader", [&] { older.send({0}); });
  EXPECT_EQ(read_values(older.partition()), iota(0, 2));
  // Where the newer one has not written yet, the older one can do no harm.
  older.send({2}, 1);
  EXPECT_EQ(newer.send({2}, 1).duplicate_count(), 1);
}

TEST_F(ProducerTest, TheNextOneReadsOnFromThePosition) {
  std::vector<ProducerPosition> positions;
  {
    const auto log = open();
    Loader loader(*log, 0);
    loader.send({0, 1});
    positions = loader.writer().positions();
    loader.send({2, 3});
  }
  const auto log = open();
  Loader next(*log, 1, positions);
  const TopicAppendResult result = next.send({0, 1, 2, 3, 4});
  EXPECT_EQ(result.duplicate_count(), 4);
  EXPECT_EQ(result.offsets(), iota(0, 5));
}

TEST_F(ProducerTest, WithoutAPositionItNeverAppendedThere) {
  const auto log = open();
  append_values(*log->open_partition(test_options(0, 64 * 1024)), 0, 1000);
  Loader loader(*log, 0);
  const ProducerPosition position = loader.writer().positions()[0];
  EXPECT_EQ(position.next_offset, 1000);
  EXPECT_EQ(position.last_sequence, -1);
  EXPECT_EQ(position.incarnation, 1u);
}

TEST_F(ProducerTest, BatchesSayUpToWhereAllIsStored) {
  const auto log = open();
  Loader loader(*log, 0);
  loader.send({0, 1}, 0, 1);
  loader.send({4, 5}, 1, 3);       // 2 and 3 are stored, 6 is not: so they said
  loader.send({6, 7, 8}, 0, 100);  // ahead: up to 100 in the other partition
  EXPECT_EQ(loader.writer().complete_sequence(), 100);
  EXPECT_EQ(loader.partition(0).reader(2)->next()->header().sequence_lag, -92);
  EXPECT_EQ(loader.partition(1).reader(0)->next()->header().sequence_lag, 2);
  Loader next(*log, 1, from_start());
  EXPECT_EQ(next.writer().complete_sequence(), 100);
}

TEST_F(ProducerTest, ALagThatDoesNotFitSaysLess) {
  const auto log = open();
  Loader loader(*log, 0);
  const int64_t far = int64_t{1} << 40;
  loader.send({0}, 0, far);
  EXPECT_EQ(loader.writer().complete_sequence(), int64_t{1} << 31);
  loader.send({far}, 0, (int64_t{1} << 31) + 5);  // behind by more than can be said
  EXPECT_EQ(loader.writer().complete_sequence(), int64_t{1} << 31);
  loader.send({far + 10}, 0, far + 11 - INT32_MAX);
  EXPECT_EQ(loader.writer().complete_sequence(), far + 11 - INT32_MAX);
}

TEST_F(ProducerTest, ASplitTableNeverSaysThatARestOfItIsStored) {
  const auto log = open();
  auto partitions = open_partitions(*log);
  TopicWriterOptions options;
  options.producer = {kProducerId, 0, "loader"};
  options.positions.resize(kPartitions);
  options.key_columns = {0};
  options.limits.max_batch_rows = 3;
  TopicWriter writer(partitions, options);
  TopicAppendResult result;
  const RecordSequences sequences{int64_array(iota(10, 50)), 1000};
  writer.append(values(iota(0, 50)), {}, nullptr, kPartitionByKey, Acks::kPublished, &result,
                &sequences);
  ASSERT_GT(result.appends.size(), 10u);
  EXPECT_EQ(writer.complete_sequence(), 1000);
  // In the order of appends, each batch says no more than what was there by then.
  std::set<int64_t> missing;
  for (const int64_t sequence : iota(10, 50)) missing.insert(sequence);
  for (const TopicAppend& append : result.appends) {
    const auto p = static_cast<size_t>(append.partition);
    const LogBatch batch = partitions[p]->reader(append.result.base_offset)->next().value();
    const Array stored = batch.sequences();
    for (int64_t i = 0; i < stored.length; ++i) missing.erase(stored.data<int64_t>()[i]);
    const int64_t complete = batch.last_sequence() - batch.header().sequence_lag;
    EXPECT_EQ(complete, missing.empty() ? 1000 : *missing.begin() - 1);
  }
}

TEST_F(ProducerTest, RowsWithoutAKeyGoWhereTheirSequenceSays) {
  const auto log = open();
  Loader loader(*log, 0);
  TopicAppendResult result;
  const RecordSequences sequences{
      int64_array({0, kSequenceRun - 1, kSequenceRun, 3 * kSequenceRun}), -1};
  loader.writer().append(values({1, 2, 3, 4}), {}, nullptr, kPartitionByKey, Acks::kPublished,
                         &result, &sequences);
  EXPECT_EQ(result.partition_of_row, (std::vector<int32_t>{0, 0, 1, 1}));
}

// --- After a power loss ---

// A machine whose power goes: what was not synced may be gone.
class ProducerPowerLossTest : public ProducerTest {
 protected:
  static std::shared_ptr<Log> boot(const std::string& directory, uint8_t number) {
    LogOptions options = after_boot(number);
    options.sync_interval_us = 3'600'000'000;
    return Log::open(directory, options);
  }
  // Sequences 0, 1, 3 in partition 0 and 2 in partition 1, of which nothing is synced. Each batch
  // says that all before it is stored.
  void write_and_die() {
    ASSERT_TRUE(run_and_die([&] {
      const auto log = boot(directory_.path(), 1);
      Loader loader(*log, 0);
      loader.send({0}, 0, 0);
      loader.send({1}, 0, 1);
      loader.send({2}, 1, 2);
      loader.send({3}, 0, 3);
      leak(log);
    }));
  }
  // Zeroes what is behind the first `kept` batches of a partition.
  void lose_behind(int32_t partition, size_t kept) {
    ASSERT_TRUE(run_and_die([&] {
      const auto log = boot(directory_.path(), 1);
      leak(log);
      const auto opened = log->open_partition(test_options(partition, 64 * 1024));
      const std::vector<int64_t> at = batch_positions(*opened);
      const std::string zeros(static_cast<size_t>(at.back() - at[kept]), '\0');
      write_bytes(segment_file(directory_.path(), 0, partition), at[kept], zeros);
    }));
  }
  static ProducerPosition found(int64_t next_offset, int64_t last_sequence) {
    return {next_offset, 1, last_sequence, last_sequence};
  }
};

TEST_F(ProducerPowerLossTest, WhatThePositionPromisedAndIsGoneMayBeSentAgain) {
  write_and_die();
  lose_behind(0, 1);
  const auto log = boot(directory_.path(), 2);
  Loader loader(*log, 1, {found(3, 3), found(1, 2)});
  EXPECT_EQ(loader.writer().complete_sequence(), 0);
  EXPECT_EQ(loader.send({0, 1, 3}).duplicate_count(), 1);
  EXPECT_EQ(loader.send({2}, 1).duplicate_count(), 1);
  EXPECT_EQ(read_values(loader.partition()), (std::vector<int64_t>{0, 1, 3}));
}

TEST_F(ProducerPowerLossTest, APositionBelowWhatIsLeftIsBelieved) {
  write_and_die();
  lose_behind(0, 2);
  const auto log = boot(directory_.path(), 2);
  Loader loader(*log, 1, {found(1, 0), found(0, -1)});
  const TopicAppendResult result = loader.send({0, 1, 3});
  EXPECT_EQ(result.duplicate_count(), 2);
  EXPECT_EQ(result.offsets()[0], 0);  // below the position
  EXPECT_EQ(result.offsets()[1], 1);
}

TEST_F(ProducerPowerLossTest, WhatBatchesSaidAboutALostOneIsNotBelieved) {
  write_and_die();
  lose_behind(1, 0);
  std::vector<ProducerPosition> positions;
  {
    const auto log = boot(directory_.path(), 2);
    Loader loader(*log, 1, {found(0, -1), found(0, -1)});
    EXPECT_EQ(loader.writer().complete_sequence(), -1);  // not 3: 2 is missing
    positions = loader.writer().positions();
    for (ProducerPosition& position : positions) position.complete_sequence = -1;
    EXPECT_EQ(loader.send({0, 1, 3}, 0, 1).duplicate_count(), 3);
    EXPECT_EQ(loader.send({2}, 1, 3).duplicate_count(), 0);
  }
  // Once the loss was taken note of, batches are believed again.
  const auto log = boot(directory_.path(), 2);
  EXPECT_EQ(Loader(*log, 2, positions).writer().complete_sequence(), 3);
}

// --- The tracker ---

TEST(SequenceTracker, AllBelowTheFirstWaitingBatchIsComplete) {
  SequenceTracker tracker(9);
  EXPECT_EQ(tracker.next(), 10);
  EXPECT_EQ(tracker.complete(), 9);
  tracker.wait_for(10);
  tracker.send(10);
  tracker.wait_for(11);
  tracker.send(11);
  tracker.send(12);
  EXPECT_EQ(tracker.next(), 13);
  EXPECT_EQ(tracker.complete(), 9);
  EXPECT_EQ(tracker.complete_with(10), 10);
  EXPECT_EQ(tracker.complete_with(11), 9);
  tracker.stored(11);
  EXPECT_EQ(tracker.complete(), 9);
  EXPECT_EQ(tracker.complete_with(10), 12);
  tracker.stored(10);
  EXPECT_EQ(tracker.complete_with(11), 12);
  EXPECT_EQ(tracker.complete(), 9);  // stored, not acknowledged
  tracker.acknowledged(10);
  EXPECT_EQ(tracker.complete(), 10);
  tracker.acknowledged(11);
  EXPECT_EQ(tracker.complete(), 12);
}

TEST(SequenceTracker, WhatIsSentAgainLowersNothing) {
  SequenceTracker tracker(99);
  tracker.wait_for(5);
  tracker.send(5);
  EXPECT_EQ(tracker.complete(), 99);
  EXPECT_EQ(tracker.complete_with(5), 99);
  tracker.acknowledged(5);
  EXPECT_EQ(tracker.complete(), 99);
  EXPECT_EQ(tracker.next(), 6);
}

}  // namespace
}  // namespace pystream::storage
