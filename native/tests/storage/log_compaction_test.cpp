// Of each key the last record stays, at its offset.

#include <random>

#include "log_compaction_testing.hpp"
#include "storage/latest_offsets.hpp"

namespace pystream::storage {
namespace {

TEST_F(LogCompactionTest, TheLastRecordOfEachKeyStaysAtItsOffset) {
  append({{0, "a", 1}, {0, "b", 2}, {0, "a", 3}, {0, "c", 4}});
  append({{0, "b", 5}});
  append({{0, "a", 6}, {0, "d", 7}});
  seal();
  append("c", 8);  // in the active segment, which is never compacted
  const CompactionResult result = partition_->compact(at(100));
  EXPECT_EQ(result.segments, 1);
  EXPECT_EQ(result.removed_records, 3);
  const std::vector<Row> left{{3, "c", 4}, {4, "b", 5}, {5, "a", 6}, {6, "d", 7}, {7, "c", 8}};
  EXPECT_EQ(read_from(*partition_, 0), left);
  for (int64_t from = 0; from <= 8; ++from) {
    std::vector<Row> rest;
    for (const Row& row : left) {
      if (row.offset >= from) rest.push_back(row);
    }
    EXPECT_EQ(read_from(*partition_, from), rest) << from;
  }
  EXPECT_EQ(partition_->find_time(kTimestampColumn, 15)->offset, 3);
  EXPECT_EQ(partition_->compact(at(200)).segments, 0) << "there is nothing left to do";
  expect_clean(directory_.path());
}

TEST_F(LogCompactionTest, RecordsBetweenOthersLeaveGapsInsideABatch) {
  append({{0, "a", 1}, {0, "b", 2}, {0, "c", 3}, {0, "b", 4}, {0, "d", 5}});
  seal();
  append("x", 0);
  partition_->compact(at(100));
  const auto reader = partition_->reader(0);
  const LogBatch batch = reader->next().value();
  EXPECT_TRUE(batch.has_gaps());
  EXPECT_EQ(batch.base_offset(), 0);
  EXPECT_EQ(batch.next_offset(), 5);
  EXPECT_EQ(rows_of(batch), (std::vector<Row>{{0, "a", 1}, {2, "c", 3}, {3, "b", 4}, {4, "d", 5}}));
  EXPECT_EQ(batch.row_from(1), 1);
  EXPECT_EQ(batch.row_from(5), 4);
  EXPECT_EQ(batch.last_sequence(), 4);
  const Array sequences = batch.sequences();
  EXPECT_EQ(std::vector<int64_t>(sequences.data<int64_t>(), sequences.data<int64_t>() + 4),
            (std::vector<int64_t>{0, 2, 3, 4}));
}

TEST_F(LogCompactionTest, ATombstoneGoesOnceItWasCompactForLongEnough) {
  append("a", 1);
  append("b", 2);
  append("a", std::nullopt);
  seal();
  append("x", 0);
  partition_->compact(at(1'000, 500));
  EXPECT_EQ(read_from(*partition_, 0),
            (std::vector<Row>{{1, "b", 2}, {2, "a", std::nullopt}, {3, "x", 0}}));
  partition_->compact(at(1'499, 500));
  EXPECT_EQ(read_from(*partition_, 0).size(), 3u);
  partition_->compact(at(1'500, 500));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{1, "b", 2}, {3, "x", 0}}));
  expect_clean(directory_.path());
}

TEST_F(LogCompactionTest, RecordsWithoutAKeyStay) {
  append({{0, std::nullopt, 1}, {0, "a", 2}, {0, std::nullopt, 3}, {0, "a", 4}});
  seal();
  append("x", 0);
  partition_->compact(at(100));
  EXPECT_EQ(
      read_from(*partition_, 0),
      (std::vector<Row>{{0, std::nullopt, 1}, {2, std::nullopt, 3}, {3, "a", 4}, {4, "x", 0}}));
}

TEST(LatestOffsetsTest, TheLargestOffsetOfAKeyStaysInWhateverOrderTheyCome) {
  LatestOffsets latest;
  const auto put = [&](std::string_view key, int64_t offset) {
    latest.put(LatestOffsets::hash_of(key), key, offset);
  };
  const auto find = [&](std::string_view key) {
    return latest.find(LatestOffsets::hash_of(key), key);
  };
  for (const std::string prefix : {"", "a long key "}) {  // the short ones lie in the table
    for (int64_t i = 0; i < 5'000; ++i) put(prefix + std::to_string(i), i + 10);
    for (int64_t i = 0; i < 5'000; ++i) put(prefix + std::to_string(i), i % 2 == 0 ? 3 : i + 20);
  }
  for (const std::string prefix : {"", "a long key "}) {
    for (int64_t i = 0; i < 5'000; ++i) {
      EXPECT_EQ(find(prefix + std::to_string(i)), i % 2 == 0 ? i + 10 : i + 20);
    }
  }
  EXPECT_EQ(find("a long key "), -1);
  EXPECT_EQ(find("key"), -1);
  EXPECT_EQ(find(""), -1);
}

TEST(LatestOffsetsTest, KeysThatEndWithZerosAreOthers) {
  LatestOffsets latest;
  std::vector<std::string> keys;
  for (size_t size = 0; size <= 10; ++size) keys.emplace_back(size, '\0');
  // As if all had the same hash: only their bytes tell them apart.
  for (size_t i = 0; i < keys.size(); ++i) latest.put(7, keys[i], static_cast<int64_t>(i));
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(latest.find(7, keys[i]), static_cast<int64_t>(i));
  }
}

TEST_F(LogCompactionTest, OneThatIsStoppedEndsWhereItIsAndTheNextLogGoesOn) {
  for (int round = 0; round < 3; ++round) {
    append("a", round);
    seal();
  }
  append("x", 0);
  log_->stop_compactions();
  EXPECT_EQ(partition_->compact(at(100)).segments, 0);
  open();
  EXPECT_EQ(partition_->compact(at(100)).segments, 3);
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{2, "a", 2}, {3, "x", 0}}));
}

TEST_F(LogCompactionTest, ViewsOfTheOldSegmentStayValid) {
  for (int64_t i = 0; i < 50; ++i) append("k" + std::to_string(i % 5), i);
  seal();
  append("x", 0);
  const LogBatch batch = partition_->reader(7)->next().value();
  const Array values = batch.column(1);
  partition_->compact(at(100));
  EXPECT_EQ(values.data<int64_t>()[0], 7);
  EXPECT_GT(partition_->pinned_bytes(), 0);
  EXPECT_EQ(read_from(*partition_, 0).size(), 6u);
}

TEST_F(LogCompactionTest, ASegmentOfWhichNothingIsLeftIsSteppedOver) {
  for (int round = 0; round < 3; ++round) {
    append("a", round);
    append("b", round);
    seal();
  }
  append("c", 9);
  partition_->compact(at(100));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{4, "a", 2}, {5, "b", 2}, {6, "c", 9}}));
  expect_clean(directory_.path());
  LogOptions options = after_boot(9);
  open(options);
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{4, "a", 2}, {5, "b", 2}, {6, "c", 9}}));
}

TEST_F(LogCompactionTest, LittleThatIsNewIsLeftForLater) {
  for (int64_t i = 0; i < 200; ++i) append("key " + std::to_string(i), i);
  seal();
  append("x", 0);
  partition_->compact(at(100));
  seal();
  append("x", 1);
  seal();
  append("x", 2);
  CompactionOptions options = at(200);
  options.min_cleanable_ratio = 0.9;
  EXPECT_EQ(partition_->compact(options).segments, 0);
  options.min_cleanable_ratio = 0.01;
  EXPECT_EQ(partition_->compact(options).segments, 2);
}

TEST_F(LogCompactionTest, RecordsThatAreYoungStay) {
  auto clock = std::make_shared<ManualClock>(1'000);
  LogOptions options;
  options.clock = clock;
  open(options);
  append("a", 1);
  append("a", 2);
  seal();
  clock->store(2'000);
  append("a", 3);
  append("a", 4);
  seal();
  append("x", 0);
  CompactionOptions lagging = at(2'500);
  lagging.min_compaction_lag_us = 1'000;
  partition_->compact(lagging);
  EXPECT_EQ(read_from(*partition_, 0),
            (std::vector<Row>{{1, "a", 2}, {2, "a", 3}, {3, "a", 4}, {4, "x", 0}}));
}

TEST_F(LogCompactionTest, FewKeysAtATimeComeToTheSame) {
  std::mt19937_64 random(5);
  std::vector<Row> all;
  for (int64_t i = 0; i < 2'000; ++i) {
    const Row row{end(), "key " + std::to_string(random() % 300), i};
    append({row});
    all.push_back(row);
    if (i % 100 == 99) seal();
  }
  append("x", 0);
  all.push_back({2'000, "x", 0});
  CompactionOptions options = at(100);
  options.most_key_bytes = 1;
  EXPECT_GT(partition_->compact(options).removed_records, 0);
  EXPECT_EQ(read_from(*partition_, 0).size(), table_of(all).size());
  EXPECT_EQ(table_of(read_from(*partition_, 0)), table_of(all));
  expect_clean(directory_.path());
}

}  // namespace
}  // namespace pystream::storage
