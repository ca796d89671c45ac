// What producers and transactions say outlives the records that compaction removes.

#include "log_compaction_testing.hpp"

namespace pystream::storage {
namespace {

using LogCompactionProducersTest = LogCompactionTest;

TEST_F(LogCompactionProducersTest, AbortedRecordsVanishAndSupersedeNothing) {
  append("a", 1);
  append("a", 2, 1);
  append("b", 3, 2);
  partition_->end_transaction({1, kProducer, 1, false}, Acks::kPublished);
  partition_->end_transaction({2, kProducer, 1, true}, Acks::kPublished);
  seal();
  append("x", 0);
  partition_->compact(at(100));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{0, "a", 1}, {2, "b", 3}, {5, "x", 0}}));
  std::vector<int64_t> markers;
  const auto reader = partition_->reader(0);
  while (const auto batch = reader->next()) {
    if ((batch->header().flags & kFlagControl) != 0) markers.push_back(batch->base_offset());
  }
  EXPECT_EQ(markers, std::vector<int64_t>{4}) << "of the one that has records left";
  seal();
  append("b", 9);
  seal();
  append("y", 0);
  partition_->compact(at(200));
  EXPECT_EQ(read_from(*partition_, 0),
            (std::vector<Row>{{0, "a", 1}, {5, "x", 0}, {6, "b", 9}, {7, "y", 0}}));
  EXPECT_TRUE(partition_->open_transactions().empty());
  expect_clean(directory_.path());
}

TEST_F(LogCompactionProducersTest, NothingBehindAnOpenTransactionIsTouched) {
  append("a", 1);
  seal();
  append("a", 2, 1);
  seal();
  append("a", 3);
  seal();
  append("x", 0);
  EXPECT_EQ(partition_->compact(at(100)).segments, 1);
  EXPECT_EQ(read_on(*partition_->reader(0)).size(), 4u);
  partition_->end_transaction({1, kProducer, 1, true}, Acks::kPublished);
  partition_->compact(at(200));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{2, "a", 3}, {3, "x", 0}}));
}

TEST_F(LogCompactionProducersTest, AReaderInTheMiddleOfAnAbortedTransactionIsNotHeldUp) {
  append("a", 1);
  append("b", 2, 1);
  seal();
  append("c", 3);
  partition_->end_transaction({1, kProducer, 1, false}, Acks::kPublished);
  seal();
  append("x", 0);
  const auto other = Log::open(directory_.path());
  const auto theirs = other->open_partition(keyed_options());
  const auto reader = committed_reader(*theirs, 0);
  ASSERT_TRUE(reader->next());  // has the segment open
  partition_->compact(at(100));
  EXPECT_EQ(read_on(*reader), (std::vector<Row>{{2, "c", 3}, {4, "x", 0}}));
  EXPECT_EQ(theirs->last_stable_offset(), 5);
}

TEST_F(LogCompactionProducersTest, AProducerWithANameKnowsItsSequencesWhenItsRecordsAreGone) {
  const auto append_as = [&](int64_t id, int32_t epoch, const std::string& key, int64_t sequence) {
    EncodedBatch batch = encode({{end(), key, sequence}}, -1, sequence);
    BatchHeader header;
    std::memcpy(&header, batch.head.data(), sizeof(header));
    header.producer_id = id;
    header.producer_epoch = epoch;
    std::memcpy(batch.head.data(), &header, sizeof(header));
    partition_->append(&batch, Acks::kPublished);
  };
  ProducerIdentity identity;
  identity.id = kProducer;
  identity.name = "loader";
  append_as(kProducer, 0, "a", 0);
  append_as(kProducer, 1, "a", 7);  // a newer one of the name
  append_as(1, 0, "a", 0);
  seal();
  append_as(1, 0, "x", 1);
  partition_->compact(at(100));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{2, "a", 0}, {3, "x", 1}}));
  EXPECT_EQ(partition_->open_producer(identity, {0, 1, -1, -1})->last_sequence(), 7);
  append_as(1, 0, "a", 2);
  seal();
  append_as(1, 0, "y", 3);
  partition_->compact(at(200));  // the first segment again
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{3, "x", 1}, {4, "a", 2}, {5, "y", 3}}));
  EXPECT_EQ(partition_->open_producer(identity, {0, 1, -1, -1})->last_sequence(), 7);
  expect_clean(directory_.path());
}

TEST_F(LogCompactionProducersTest, AnIdleProducerIsFencedByRecordsThatAreGone) {
  append("a", 1);
  ProducerIdentity identity;
  identity.id = kProducer;
  identity.name = "loader";
  const auto idle = partition_->open_producer(identity, {0, 1, -1, -1});
  EncodedBatch newer = encode({{1, "a", 2}}, -1, 1);
  BatchHeader header;
  std::memcpy(&header, newer.head.data(), sizeof(header));
  header.producer_epoch = 1;
  std::memcpy(newer.head.data(), &header, sizeof(header));
  partition_->append(&newer, Acks::kPublished);
  EncodedBatch other = encode({{2, "a", 3}}, -1, 0);
  std::memcpy(&header, other.head.data(), sizeof(header));
  header.producer_id = 1;
  std::memcpy(other.head.data(), &header, sizeof(header));
  partition_->append(&other, Acks::kPublished);
  seal();
  other = encode({{3, "x", 4}}, -1, 1);
  std::memcpy(other.head.data(), &header, sizeof(header));
  partition_->append(&other, Acks::kPublished);
  partition_->compact(at(100));
  EXPECT_EQ(read_from(*partition_, 0).size(), 2u);
  EncodedBatch late = encode({{4, "b", 5}}, -1, 9);
  expect_error(ErrorCode::kFenced, "is fenced",
               [&] { partition_->append(&late, Acks::kPublished, idle.get()); });
}

}  // namespace
}  // namespace pystream::storage
