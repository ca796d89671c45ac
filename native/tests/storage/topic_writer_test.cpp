#include "storage/topic_writer.hpp"

#include <cerrno>
#include <map>

#include "format_testing.hpp"
#include "log_testing.hpp"
#include "storage/partitioner.hpp"

namespace pystream::storage {
namespace {

constexpr int32_t kPartitions = 4;

SchemaPtr payments_schema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      Schema{{Field{"user", DataType::of(TypeId::kString), true},
              Field{"amount", DataType::of(TypeId::kInt64), false}}});
  return schema;
}

// `rows` payments of `users` users; amounts count from `first`.
RecordBatch payments(int64_t rows, int64_t users, int64_t first = 0) {
  VarBinaryBuilder user(DataType::of(TypeId::kString));
  FixedBuilder<int64_t> amount(DataType::of(TypeId::kInt64));
  for (int64_t i = 0; i < rows; ++i) {
    std::string name = "user-";
    name += std::to_string(i % users);
    user.append(name);
    amount.append(first + i);
  }
  return {payments_schema(), rows, {user.finish(), amount.finish()}};
}

class TopicWriterTest : public ::testing::Test {
 protected:
  TopicWriter writer(const TopicWriterOptions& options) {
    LogOptions log_options;
    log_options.files = files_;
    log_ = Log::open(directory_.path(), log_options);
    std::vector<std::shared_ptr<Partition>> partitions;
    for (int32_t p = 0; p < kPartitions; ++p) {
      PartitionOptions partition = test_options(p, int64_t{64} << 20);
      partition.schema = payments_schema();
      partition.schema_id = 5;
      partitions.push_back(log_->open_partition(partition));
    }
    return TopicWriter(std::move(partitions), options);
  }

  static TopicWriterOptions by_user() {
    TopicWriterOptions options;
    options.key_columns = {0};
    return options;
  }

  // (user, amount) of every record of a partition, by offset.
  static std::map<int64_t, std::pair<std::string, int64_t>> read(Partition& partition) {
    std::map<int64_t, std::pair<std::string, int64_t>> records;
    const auto reader = partition.reader(0);
    while (const auto batch = reader->next()) {
      const RecordBatch rows = batch->read_all();
      const Array users = decode_dictionary(rows.columns[0]);
      const Array amounts = decode_dictionary(rows.columns[1]);
      for (int64_t i = 0; i < rows.num_rows; ++i) {
        records[batch->base_offset() + i] = {
            users.is_valid(i) ? std::string(users.view(i)) : std::string("<null>"),
            amounts.data<int64_t>()[i]};
      }
    }
    return records;
  }

  // Every published row lies at the offset that the result names; returns how many there are.
  static int64_t check_published(const TopicWriter& writer, const RecordBatch& batch,
                                 const TopicAppendResult& result) {
    const std::vector<int64_t> offsets = result.offsets();
    EXPECT_EQ(static_cast<int64_t>(offsets.size()), batch.num_rows);
    int64_t published = 0;
    std::vector<std::map<int64_t, std::pair<std::string, int64_t>>> stored;
    for (const auto& partition : writer.partitions()) stored.push_back(read(*partition));
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      const auto at = static_cast<size_t>(row);
      if (offsets[at] < 0) continue;
      ++published;
      const int32_t partition =
          result.partition_of_row.empty() ? result.only_partition : result.partition_of_row[at];
      const auto record = stored[static_cast<size_t>(partition)].find(offsets[at]);
      if (record == stored[static_cast<size_t>(partition)].end()) {
        ADD_FAILURE() << "row " << row << " is not at offset " << offsets[at];
        continue;
      }
      EXPECT_EQ(record->second.second, batch.columns[1].data<int64_t>()[row]);
    }
    EXPECT_EQ(published, result.published_count());
    return published;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  std::shared_ptr<Log> log_;
};

TEST_F(TopicWriterTest, RowsOfAKeyMeetInItsPartitionInOrder) {
  TopicWriter topic = writer(by_user());
  const RecordBatch batch = payments(1000, 20);
  TopicAppendResult result;
  topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  EXPECT_EQ(check_published(topic, batch, result), 1000);
  for (int32_t p = 0; p < kPartitions; ++p) {
    std::map<std::string, int64_t> last;
    for (const auto& [offset, record] : read(*topic.partitions()[static_cast<size_t>(p)])) {
      EXPECT_EQ(partition_of_key(record.first, kPartitions), p);
      const auto before = last.find(record.first);
      if (before != last.end()) {
        EXPECT_LT(before->second, record.second);
      }
      last[record.first] = record.second;
    }
  }
}

TEST_F(TopicWriterTest, TimestampsAndHeadersStayWithTheirRows) {
  TopicWriter topic = writer(by_user());
  const RecordBatch batch = payments(100, 7);
  std::vector<int64_t> times;
  VarBinaryBuilder headers(DataType::of(TypeId::kBinary));
  for (int64_t i = 0; i < 100; ++i) {
    times.push_back(5000 + i);
    headers.append(std::to_string(i));
  }
  Timestamps timestamps;
  timestamps.per_record = int64_array(times);
  const Array header_column = headers.finish();
  TopicAppendResult result;
  topic.append(batch, timestamps, &header_column, kPartitionByKey, Acks::kPublished, &result);
  for (const auto& partition : topic.partitions()) {
    const auto reader = partition->reader(0);
    while (const auto stored = reader->next()) {
      const Array amounts = decode_dictionary(stored->column(1));
      const Array stored_headers = decode_dictionary(*stored->headers());
      for (int64_t i = 0; i < stored->record_count(); ++i) {
        const int64_t amount = amounts.data<int64_t>()[i];
        EXPECT_EQ(stored->timestamps().data<int64_t>()[i], 5000 + amount);
        EXPECT_EQ(stored_headers.view(i), std::to_string(amount));
      }
    }
  }
}

TEST_F(TopicWriterTest, AnExplicitPartitionOverridesTheKey) {
  TopicWriter topic = writer(by_user());
  const RecordBatch batch = payments(10, 10);
  TopicAppendResult result;
  topic.append(batch, {}, nullptr, 2, Acks::kPublished, &result);
  EXPECT_TRUE(result.partition_of_row.empty());
  EXPECT_EQ(result.only_partition, 2);
  EXPECT_EQ(check_published(topic, batch, result), 10);
  EXPECT_THROW(topic.append(batch, {}, nullptr, 4, Acks::kPublished, &result), Error);
  EXPECT_THROW(topic.append(batch, {}, nullptr, -2, Acks::kPublished, &result), Error);
  EXPECT_EQ(topic.partitions()[2]->ends().log_end_offset, 10);
}

TEST_F(TopicWriterTest, OneKeyIsOneAppendWithoutCopies) {
  TopicWriter topic = writer(by_user());
  const RecordBatch batch = payments(50, 1);
  TopicAppendResult result;
  topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  EXPECT_TRUE(result.partition_of_row.empty());
  ASSERT_EQ(result.appends.size(), 1u);
  EXPECT_EQ(result.appends[0].partition, partition_of_key("user-0", kPartitions));
}

TEST_F(TopicWriterTest, BatchesWithoutKeysGoRound) {
  TopicWriterOptions options;
  options.first_keyless_partition = 3;
  TopicWriter topic = writer(options);
  std::vector<int32_t> order;
  for (int i = 0; i < 5; ++i) {
    TopicAppendResult result;
    topic.append(payments(3, 3), {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
    order.push_back(result.only_partition);
  }
  EXPECT_EQ(order, (std::vector<int32_t>{3, 0, 1, 2, 3}));
}

TEST_F(TopicWriterTest, NullKeysOfOneAppendStayTogether) {
  TopicWriter topic = writer(by_user());
  VarBinaryBuilder users(DataType::of(TypeId::kString));
  for (int i = 0; i < 30; ++i) i % 3 == 0 ? users.append("ann") : users.append_null();
  const RecordBatch batch{payments_schema(), 30, {users.finish(), payments(30, 1).columns[1]}};
  TopicAppendResult result;
  topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  EXPECT_EQ(check_published(topic, batch, result), 30);
  EXPECT_LE(result.appends.size(), 2u);
}

TEST_F(TopicWriterTest, LongInputIsCutIntoBatches) {
  TopicWriterOptions options = by_user();
  options.limits.max_batch_rows = 64;
  TopicWriter topic = writer(options);
  const RecordBatch batch = payments(1000, 9);
  TopicAppendResult result;
  topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  EXPECT_EQ(check_published(topic, batch, result), 1000);
  EXPECT_GE(result.appends.size(), 16u);
  for (const TopicAppend& append : result.appends) EXPECT_LE(append.record_count, 64);
}

TEST_F(TopicWriterTest, AnEmptyBatchAppendsNothing) {
  TopicWriter topic = writer(by_user());
  TopicAppendResult result;
  topic.append(payments(0, 1), {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  EXPECT_TRUE(result.appends.empty());
  EXPECT_TRUE(result.offsets().empty());
}

TEST_F(TopicWriterTest, WhatIsRefusedBeforehandPublishesNothing) {
  TopicWriterOptions options = by_user();
  options.limits.max_record_bytes = 200;
  TopicWriter topic = writer(options);
  TopicAppendResult result;

  RecordBatch batch = payments(100, 10);
  VarBinaryBuilder users(DataType::of(TypeId::kString));
  for (int i = 0; i < 100; ++i) users.append(std::string(i == 70 ? 500 : 5, 'u'));
  batch.columns[0] = users.finish();
  EXPECT_THROW(topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result), Error);

  batch = payments(100, 10);
  batch.columns[1] = make_nulls(DataType::of(TypeId::kInt64), 100);
  EXPECT_THROW(topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result), Error);
  for (const auto& partition : topic.partitions()) {
    EXPECT_EQ(partition->ends().log_end_offset, 0);
  }
}

TEST_F(TopicWriterTest, AfterAFailureInTheMiddleTheResultSaysWhatWasPublished) {
  TopicWriterOptions options = by_user();
  options.limits.max_batch_rows = 50;
  TopicWriter topic = writer(options);
  const RecordBatch batch = payments(400, 30);
  int64_t stored_before = 0;
  const auto stored = [&] {
    int64_t count = 0;
    for (const auto& partition : topic.partitions()) count += partition->ends().log_end_offset;
    return count;
  };
  // The first write fails, then the second, and so on, until none does.
  for (int failing = 1;; ++failing) {
    SCOPED_TRACE(failing);
    const int before = files_->calls["pwritev"];
    files_->fail = [&](const std::string& call, int number) {
      return call == "pwritev" && number == before + failing ? ENOSPC : 0;
    };
    TopicAppendResult result;
    bool failed = false;
    try {
      topic.append(batch, {}, nullptr, kPartitionByKey, Acks::kPublished, &result);
    } catch (const Error& error) {
      failed = true;
      EXPECT_EQ(error.code(), ErrorCode::kStorage);
      const ErrorFact expected{"published_records", result.published_count()};
      EXPECT_NE(std::find(error.facts().begin(), error.facts().end(), expected),
                error.facts().end());
    }
    files_->fail = nullptr;
    const int64_t published = check_published(topic, batch, result);
    EXPECT_EQ(stored() - stored_before, published);
    if (!failed) {
      EXPECT_EQ(published, 400);
      EXPECT_GT(failing, 5) << "no failure came in the middle";
      break;
    }
    EXPECT_LT(published, 400);

    // What was not published can be sent again.
    std::vector<int32_t> rest;
    const std::vector<int64_t> offsets = result.offsets();
    for (int32_t row = 0; row < 400; ++row) {
      if (offsets[static_cast<size_t>(row)] < 0) rest.push_back(row);
    }
    TopicAppendResult second;
    topic.append(batch.take(rest), {}, nullptr, kPartitionByKey, Acks::kPublished, &second);
    EXPECT_EQ(second.published_count() + published, 400);
    stored_before = stored();
  }
}

TEST_F(TopicWriterTest, DurableAppendsSyncEachPartitionOnce) {
  TopicWriterOptions options = by_user();
  options.limits.max_batch_rows = 10;
  TopicWriter topic = writer(options);
  TopicAppendResult result;
  const RecordBatch batch = payments(400, 40);
  topic.append(batch, Timestamps{}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  for (const auto& partition : topic.partitions()) partition->sync();
  files_->calls.clear();
  topic.append(batch, Timestamps{}, nullptr, kPartitionByKey, Acks::kDurable, &result);
  EXPECT_GT(result.appends.size(), 30u);
  EXPECT_EQ(files_->calls["sync_data"], kPartitions);
  for (const auto& partition : topic.partitions()) {
    EXPECT_EQ(partition->ends().durable_offset, partition->ends().log_end_offset);
  }
  EXPECT_TRUE(topic.sync(&result, 0));
  EXPECT_EQ(files_->calls["sync_data"], kPartitions);
}

TEST_F(TopicWriterTest, APartitionThatCannotBeSyncedTakesItsRowsBackAndNoOthers) {
  TopicWriter topic = writer(by_user());
  TopicAppendResult result;
  const RecordBatch batch = payments(400, 40);
  topic.append(batch, Timestamps{}, nullptr, kPartitionByKey, Acks::kPublished, &result);
  for (const auto& partition : topic.partitions()) partition->sync();
  files_->calls.clear();
  files_->set_fail([](const std::string& call, int number) {
    return call == "sync_data" && number == 2 ? EIO : 0;
  });
  try {
    topic.append(batch, Timestamps{}, nullptr, kPartitionByKey, Acks::kDurable, &result);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStorage);
    std::map<std::string, std::variant<int64_t, std::string>> facts(error.facts().begin(),
                                                                    error.facts().end());
    EXPECT_EQ(std::get<int64_t>(facts["published_records"]), result.published_count());
    EXPECT_EQ(std::get<int64_t>(facts["partition"]), 1);
  }
  files_->set_fail(nullptr);
  std::vector<int32_t> acknowledged;
  for (const TopicAppend& one : result.appends) acknowledged.push_back(one.partition);
  EXPECT_EQ(acknowledged, (std::vector<int32_t>{0, 2, 3}));
  EXPECT_LT(result.published_count(), 400);
  const std::vector<int64_t> offsets = result.offsets();
  for (size_t row = 0; row < offsets.size(); ++row) {
    EXPECT_EQ(offsets[row] < 0, result.partition_of_row[row] == 1);
  }
}

}  // namespace
}  // namespace pystream::storage
