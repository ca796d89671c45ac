// Of each key the last record stays, at its offset: against a model, under transactions, readers
// that are in the middle, kills and errors at every call, and other boots.

#include <sys/mman.h>

#include <filesystem>
#include <optional>
#include <random>

#include "kill_points.hpp"
#include "log_crash_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/repair.hpp"
#include "storage/segment.hpp"
#include "storage/verify.hpp"
#include "torture.hpp"
#include "volatile_disk.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 16 * 1024;
constexpr int64_t kProducer = 4711;

SchemaPtr keyed_schema() {
  static const SchemaPtr schema =
      std::make_shared<const Schema>(Schema{{Field{"key", DataType::of(TypeId::kString), true},
                                             Field{"value", DataType::of(TypeId::kInt64), true}}});
  return schema;
}

PartitionOptions keyed_options() {
  PartitionOptions options = test_options(0, kSegmentBytes);
  options.schema = keyed_schema();
  return options;
}

struct Row {
  int64_t offset = 0;
  std::optional<std::string> key;
  std::optional<int64_t> value;  // none: a tombstone

  bool operator==(const Row&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << row.offset << ":" << row.key.value_or("-") << "="
             << (row.value ? std::to_string(*row.value) : "-");
}

EncodedBatch encode(const std::vector<Row>& rows, int64_t transaction, int64_t sequence,
                    Codec codec = Codec::kNone) {
  VarBinaryBuilder keys(DataType::of(TypeId::kString));
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  FixedBuilder<int64_t> times(DataType::of(TypeId::kInt64));
  for (const Row& row : rows) {
    if (row.key) keys.append(*row.key);
    if (!row.key) keys.append_null();
    if (row.value) values.append(*row.value);
    if (!row.value) values.append_null();
    times.append(row.offset * 10);
  }
  EncodeOptions options;
  options.schema_id = 1;
  options.codec = codec;
  if (transaction >= 0) {
    options.flags = kFlagTransactional;
    options.transaction_id = transaction;
  }
  options.producer_id = kProducer;
  options.producer_epoch = 0;
  options.base_sequence = sequence;
  const auto count = static_cast<int64_t>(rows.size());
  return encode_batch({keyed_schema(), count, {keys.finish(), values.finish()}},
                      {0, times.finish()}, nullptr, options);
}

CompactionOptions at(int64_t now_us, int64_t delete_retention_us = 1'000'000) {
  CompactionOptions options;
  options.key_columns = {0};
  options.now_us = now_us;
  options.delete_retention_us = delete_retention_us;
  return options;
}

std::vector<Row> rows_of(const LogBatch& batch, int64_t from = 0) {
  const Array keys = decode_dictionary(batch.column(0));
  const Array values = decode_dictionary(batch.column(1));
  const Array times = decode_dictionary(batch.timestamps());
  std::vector<Row> rows;
  for (int64_t row = batch.row_from(from); row < batch.record_count(); ++row) {
    Row found;
    found.offset = batch.offset_of(row);
    if (keys.is_valid(row)) found.key = std::string(keys.view(row));
    if (values.is_valid(row)) found.value = values.data<int64_t>()[row];
    EXPECT_EQ(times.data<int64_t>()[row], found.offset * 10);
    rows.push_back(std::move(found));
  }
  return rows;
}

std::vector<Row> read_on(PartitionReader& reader) {
  std::vector<Row> rows;
  for (;;) {
    const int64_t from = reader.position();
    const auto batch = reader.next();
    if (!batch) return rows;
    for (Row& row : rows_of(*batch, from)) rows.push_back(std::move(row));
  }
}

std::unique_ptr<PartitionReader> committed_reader(Partition& partition, int64_t offset) {
  auto reader = partition.reader(offset);
  reader->set_isolation(Isolation::kReadCommitted);
  return reader;
}

std::vector<Row> read_from(Partition& partition, int64_t offset) {
  return read_on(*committed_reader(partition, offset));
}

// What a table that follows the topic holds at the end.
std::map<std::string, int64_t> table_of(const std::vector<Row>& rows) {
  std::map<std::string, int64_t> table;
  for (const Row& row : rows) {
    if (!row.key) continue;
    table.erase(*row.key);
    if (row.value) table[*row.key] = *row.value;
  }
  return table;
}

void expect_clean(const std::string& directory, std::shared_ptr<FileLayer> files = nullptr) {
  PartitionVerifier verifier(directory, "orders", test_options().topic_id, 0, std::move(files));
  while (verifier.step(1 << 20)) {
  }
  for (const Finding& finding : verifier.findings()) {
    EXPECT_TRUE(finding.is_note) << finding.kind << ": " << finding.what;
  }
  EXPECT_EQ(verifier.summary().lost_records, 0);
}

class LogCompactionTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open(LogOptions options = {}) {
    partition_.reset();
    if (log_) log_->close();
    log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(keyed_options());
  }
  int64_t end() { return partition_->ends().log_end_offset; }
  void append(std::vector<Row> rows, int64_t transaction = -1) {
    int64_t offset = end();
    for (Row& row : rows) row.offset = offset++;
    EncodedBatch batch = encode(rows, transaction, sequence_, codec_);
    sequence_ += static_cast<int64_t>(rows.size());
    partition_->append(&batch, Acks::kPublished);
  }
  void append(const std::string& key, std::optional<int64_t> value, int64_t transaction = -1) {
    append({Row{0, key, value}}, transaction);
  }
  // The next append begins a segment.
  void seal() { partition_->end_segment(); }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
  int64_t sequence_ = 0;
  Codec codec_ = Codec::kNone;
};

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

TEST_F(LogCompactionTest, AbortedRecordsVanishAndSupersedeNothing) {
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

TEST_F(LogCompactionTest, NothingBehindAnOpenTransactionIsTouched) {
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

TEST_F(LogCompactionTest, AReaderInTheMiddleOfAnAbortedTransactionIsNotHeldUp) {
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

TEST_F(LogCompactionTest, AProducerWithANameKnowsItsSequencesWhenItsRecordsAreGone) {
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

TEST_F(LogCompactionTest, AnIdleProducerIsFencedByRecordsThatAreGone) {
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

TEST_F(LogCompactionTest, DamageIsNamedAndNothingIsChanged) {
  append("a", 1);
  append("a", 2);
  seal();
  append("a", 3);
  seal();
  append("x", 0);
  const int64_t position = batch_positions(*partition_)[1];
  open();
  flip_bit(segment_file(directory_.path(), 0), (position + 40) * 8);
  open();
  const std::string before = read_bytes(segment_file(directory_.path(), 2));
  expect_error(ErrorCode::kCorruptRecord, "cannot be compacted",
               [&] { partition_->compact(at(9)); });
  EXPECT_EQ(read_bytes(segment_file(directory_.path(), 2)), before);
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

TEST_F(LogCompactionTest, ARepairKeepsGapsAndWhatIsSound) {
  for (int round = 0; round < 4; ++round) {
    append({{0, "a", round}, {0, "b", round}, {0, "k" + std::to_string(round), round}});
    append("last " + std::to_string(round), round);
    seal();
  }
  append("x", 9);
  partition_->compact(at(100));
  partition_->sync();
  const std::vector<Row> before = read_from(*partition_, 0);
  const int64_t position = partition_->reader(4)->next()->place().file_position;
  const std::string path = partition_->reader(4)->next()->place().path;
  partition_.reset();
  log_->close();
  log_.reset();
  flip_bit(path, (position + 40) * 8);
  const TemporaryDirectory quarantine(Medium::kMemory);
  LogRepair(directory_.path(), quarantine.path())
      .repair_partition("orders", test_options().topic_id, 0);
  expect_clean(directory_.path());
  open();
  std::vector<Row> wanted = before;
  std::erase_if(wanted, [](const Row& row) { return row.offset >= 4 && row.offset < 7; });
  EXPECT_EQ(read_from(*partition_, 0), wanted);
}

TEST_F(LogCompactionTest, ABackupHasTheGapsToo) {
  for (int round = 0; round < 3; ++round) {
    append({{0, "a", round}, {0, "b", round}});
    seal();
  }
  append("x", 9);
  partition_->compact(at(100));
  const TemporaryDirectory copy(Medium::kMemory);
  const std::string place = partition_directory(copy.path());
  std::filesystem::create_directories(place);
  partition_->backup(place, UINT64_MAX);
  const auto other = Log::open(copy.path());
  const auto restored = other->open_partition(keyed_options());
  EXPECT_EQ(read_from(*restored, 0), read_from(*partition_, 0));
}

// --- The model ---

struct Model {
  struct Entry : Row {
    int64_t transaction = -1;
    bool is_committed = true;
    int64_t first_compacted_us = -1;
  };
  std::vector<Entry> entries;  // without markers

  // As compaction is said to work, record by record.
  void compact(int64_t horizon, int64_t now_us, int64_t delete_retention_us) {
    std::map<std::string, int64_t> last;
    for (const Entry& entry : entries) {
      if (entry.offset < horizon && entry.is_committed && entry.key)
        last[*entry.key] = entry.offset;
    }
    std::erase_if(entries, [&](const Entry& entry) {
      if (entry.offset >= horizon) return false;
      const bool is_old =
          entry.first_compacted_us >= 0 && now_us - entry.first_compacted_us >= delete_retention_us;
      return !entry.is_committed || (entry.key && last[*entry.key] > entry.offset) ||
             (!entry.value && entry.key && is_old);
    });
    for (Entry& entry : entries) {
      if (entry.offset < horizon && entry.first_compacted_us < 0) entry.first_compacted_us = now_us;
    }
  }

  std::vector<Row> committed() const {
    std::vector<Row> rows;
    for (const Entry& entry : entries) {
      if (entry.is_committed) rows.push_back(entry);
    }
    return rows;
  }
};

// A random life, compared with the model after each compaction.
class Life : public LogCompactionTest {
 protected:
  void TestBody() override {}

 public:
  void live(uint64_t seed) {
    SetUp();
    random_.seed(seed);
    codec_ = seed % 2 == 0 ? Codec::kLz4 : Codec::kNone;
    uint8_t boot = 10;
    LogOptions options = after_boot(boot);
    open(options);
    for (int step = 0; step < 120 && !::testing::Test::HasFailure(); ++step) {
      const uint64_t choice = random_() % 100;
      if (choice < 45) append_some(-1);
      if (choice >= 45 && choice < 60) append_some(transactions_ * 100);
      if (choice >= 60 && choice < 70) end_open(random_() % 2 == 0);
      if (choice >= 70 && choice < 85) seal();
      if (choice >= 85 && choice < 95) compact();
      if (choice >= 95) {
        partition_->sync();
        open(random_() % 2 == 0 ? options : after_boot(++boot));
      }
    }
    end_open(true);
    seal();
    append_some(-1);
    compact();
    expect_clean(directory_.path(), log_files());
  }

 private:
  std::shared_ptr<FileLayer> log_files() { return nullptr; }

  void append_some(int64_t transaction) {
    std::vector<Row> rows;
    const auto count = static_cast<int64_t>(1 + random_() % 6);
    for (int64_t i = 0; i < count; ++i) {
      Row row{end() + i, "key " + std::to_string(random_() % 12),
              static_cast<int64_t>(random_() % 1000)};
      if (random_() % 5 == 0) row.value.reset();
      if (random_() % 15 == 0) row.key.reset();
      rows.push_back(row);
      Model::Entry entry;
      static_cast<Row&>(entry) = row;
      entry.transaction = transaction;
      entry.is_committed = transaction < 0;
      model_.entries.push_back(entry);
    }
    append(rows, transaction);
    has_open_ = has_open_ || transaction >= 0;
  }

  void end_open(bool is_commit) {
    if (!has_open_) return;
    const int64_t id = transactions_ * 100;
    partition_->end_transaction({id, kProducer, 1, is_commit}, Acks::kPublished);
    for (Model::Entry& entry : model_.entries) {
      if (entry.transaction == id) entry.is_committed = is_commit;
    }
    has_open_ = false;
    ++transactions_;
  }

  void compact() {
    now_us_ += static_cast<int64_t>(random_() % 100);
    int64_t horizon = 0;
    for (const SegmentFacts& facts : partition_->segment_facts()) {
      if (facts.is_active || facts.end_offset > partition_->last_stable_offset()) break;
      horizon = facts.end_offset;
    }
    CompactionOptions options = at(now_us_, 150);
    if (random_() % 3 == 0) options.most_key_bytes = 1;
    const auto behind = committed_reader(*partition_, 0);
    behind->next();
    partition_->compact(options);
    model_.compact(horizon, now_us_, 150);
    const int64_t stable = partition_->last_stable_offset();
    std::vector<Row> wanted = model_.committed();
    std::erase_if(wanted, [&](const Row& row) { return row.offset >= stable; });
    EXPECT_EQ(read_from(*partition_, 0), wanted);
    const auto from = static_cast<int64_t>(random_() % static_cast<uint64_t>(stable + 1));
    std::vector<Row> rest = wanted;
    std::erase_if(rest, [&](const Row& row) { return row.offset < from; });
    EXPECT_EQ(read_from(*partition_, from), rest) << "from " << from;
    read_on(*behind);
    EXPECT_EQ(behind->position() >= stable || behind->undecided().has_value(), true);
  }

  std::mt19937_64 random_;
  Model model_;
  int64_t transactions_ = 1;
  bool has_open_ = false;
  int64_t now_us_ = 1'000;
};

TEST(LogCompactionModelTest, ARandomLifeIsWhatTheModelSays) {
  for (Torture torture(60); torture.goes_on(); torture.count()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life().live(seed);
    if (::testing::Test::HasFailure()) return;
  }
}

// --- Crashes ---

std::vector<Row> story(int64_t count) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < count; ++i) {
    Row row{i, "key " + std::to_string(i * 7 % 11), i};
    if (i % 9 == 4) row.value.reset();
    rows.push_back(row);
  }
  return rows;
}

struct Progress {
  std::atomic<int64_t> appended;  // acknowledged
  std::atomic<int64_t> stores;
};

void append_story(Partition& partition, int64_t begin, int64_t count) {
  const std::vector<Row> all = story(begin + count);
  for (int64_t i = begin; i < begin + count; i += 4) {
    EncodedBatch batch = encode({all.begin() + i, all.begin() + i + 4}, -1, i);
    partition.append(&batch, Acks::kPublished);
  }
}

void live(const std::string& directory, const std::shared_ptr<FileLayer>& files, Progress* at_) {
  LogOptions options;
  options.files = files;
  options.sync_interval_us = 3'600'000'000;
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(keyed_options());
  for (int64_t round = 0; round < 4; ++round) {
    append_story(*partition, round * 16, 16);
    at_->appended = (round + 1) * 16;
    partition->end_segment();
    if (round % 2 == 1) partition->compact(at(round * 1'000, 10));
  }
  leak(log);
  leak(partition);
}

void check(const std::string& directory, const Progress& progress, const LogOptions& options) {
  expect_clean(directory, options.files);
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(keyed_options());
  const int64_t end = partition->ends().log_end_offset;
  EXPECT_GE(end, progress.appended);
  EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(end)));
  append_story(*partition, end, 4);
  partition->end_segment();
  append_story(*partition, end + 4, 4);
  partition->compact(at(9'000, 10));
  partition->compact(at(10'000, 10));
  EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(end + 8)));
  EXPECT_LE(read_from(*partition, 0).size(), 15u);
  EXPECT_FALSE(std::filesystem::exists(partition_directory(directory) + "/" + kCompactionName));
  expect_clean(directory, options.files);
}

TEST(LogCompactionCrashTest, AKillAtAnyCallOrStoreLosesNoKeyAndBringsNoneBack) {
  auto* progress = static_cast<Progress*>(
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  bool has_ended = false;
  int64_t point = 1;
  for (; !has_ended && !::testing::Test::HasFailure(); point += kEveryNthCase) {
    SCOPED_TRACE("point " + std::to_string(point));
    const TemporaryDirectory directory(Medium::kMemory);
    progress->appended = 0;
    has_ended = run_and_die([&] {
      live(directory.path(), std::make_shared<KillPoints>(point, &progress->stores), progress);
    });
    if (progress->appended == 0) continue;
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->skips_syncs = true;
    options.files = files;
    check(directory.path(), *progress, options);
  }
  EXPECT_GT(point, 300);
  ::munmap(progress, sizeof(Progress));
}

TEST(LogCompactionCrashTest, AnyCallOfACompactionMayFailAndTheNextOneGoesOn) {
  for (const int error : {EIO, ENOSPC}) {
    for (int first = 1, is_reached = 1; is_reached != 0; ++first) {
      SCOPED_TRACE("call " + std::to_string(first) + ", errno " + std::to_string(error));
      const TemporaryDirectory directory(Medium::kMemory);
      const auto files = std::make_shared<FakeFiles>();
      files->skips_syncs = true;
      LogOptions options;
      options.files = files;
      options.sync_interval_us = 3'600'000'000;
      Progress progress{};
      {
        const auto log = Log::open(directory.path(), options);
        const auto partition = log->open_partition(keyed_options());
        for (int64_t round = 0; round < 3; ++round) {
          append_story(*partition, round * 16, 16);
          partition->end_segment();
        }
        partition->sync();
        append_story(*partition, 48, 4);
        partition->sync();
        progress.appended = 52;
        int calls = 0;
        files->set_fail([&](const std::string&, int) { return ++calls == first ? error : 0; });
        try {
          partition->compact(at(100, 10));
        } catch (const Error& failure) {
          EXPECT_TRUE(failure.code() == ErrorCode::kStorage) << failure.what();
        }
        files->set_fail(nullptr);
        is_reached = calls >= first;
        EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(52)));
      }
      ++files->boot[0];
      check(directory.path(), progress, options);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// --- Power losses ---

// A story that is appended, compacted and cut off, on a disk that keeps any mixture of what was not
// synced. The record timestamp says which sentence a record is.
class PowerLosses {
 public:
  explicit PowerLosses(uint64_t seed) : random_(seed) { start(); }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      const uint64_t action = random_() % 100;
      try {
        if (action < 55) append();
        if (action >= 55 && action < 75) partition_->end_segment();
        if (action >= 75 && action < 90) compact();
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::kStorage) << error.what();
        lose_power();
      }
      disk_->observe();
      if (action >= 90) lose_power();
      check();
    }
  }

 private:
  void start() {
    disk_->restart();
    LogOptions options;
    options.files = disk_;
    options.sync_interval_us = 3'600'000'000;
    log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(keyed_options());
    disk_->observe();
  }

  void append() {
    const auto count = static_cast<int64_t>(1 + random_() % 8);
    const std::vector<Row> all = story(told_ + count);
    EncodedBatch batch = encode({all.begin() + told_, all.end()}, -1, told_);
    const bool is_durable = random_() % 4 == 0;
    const int64_t end = told_ + count;
    attempted_ = end;
    partition_->append(&batch, is_durable ? Acks::kDurable : Acks::kPublished);
    told_ = end;
    if (is_durable) durable_ = end;
  }

  // What is compacted is durable; what comes first is a sync of all.
  void compact() {
    if (random_() % 2 == 0) disk_->die_at_call(static_cast<int64_t>(1 + random_() % 30));
    now_us_ += 100;
    partition_->compact(at(now_us_, 150));
  }

  void lose_power() {
    disk_->die();
    partition_.reset();
    log_.reset();
    disk_->lose(directory_.path(), partition_directory(directory_.path()));
    disk_->restart();
    start();
    int64_t last = 0;
    for (const Row& row : read()) last = std::max(last, row.offset + 1);
    EXPECT_GE(std::max(last, compacted_), durable_);
    EXPECT_LE(last, std::max(told_, attempted_));
    attempted_ = 0;
    told_ = durable_ = std::max({last, durable_, compacted_});
  }

  // With the numbers of sentences for offsets.
  std::vector<Row> read() {
    std::vector<Row> rows;
    const auto reader = partition_->reader(0);
    while (const auto batch = reader->next()) {
      const Array keys = decode_dictionary(batch->column(0));
      const Array values = decode_dictionary(batch->column(1));
      const Array times = decode_dictionary(batch->timestamps());
      for (int64_t row = 0; row < batch->record_count(); ++row) {
        Row found{times.data<int64_t>()[row] / 10, std::string(keys.view(row)), std::nullopt};
        if (values.is_valid(row)) found.value = values.data<int64_t>()[row];
        rows.push_back(found);
      }
    }
    return rows;
  }

  void check() {
    EXPECT_EQ(table_of(read()), table_of(story(told_)));
    if (partition_->ends().durable_offset == partition_->ends().log_end_offset) compacted_ = told_;
  }

  std::mt19937_64 random_;
  const TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<VolatileDisk> disk_ = std::make_shared<VolatileDisk>(&random_);
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
  int64_t told_ = 0;
  int64_t attempted_ = 0;  // what failed may be there
  int64_t durable_ = 0;
  int64_t compacted_ = 0;  // all below was durable at some moment
  int64_t now_us_ = 1'000;
};

TEST(LogCompactionCrashTest, PowerLossesLoseNoKeyAndBringNoneBack) {
  for (Torture torture(150); torture.goes_on(); torture.count()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    PowerLosses(seed).run(60);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pystream::storage
