#pragma once
// What tests of compaction share: rows with a key, appending, reading and comparing them.

#include <filesystem>
#include <map>
#include <optional>

#include "log_crash_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/segment.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {

inline constexpr int64_t kCompactionSegmentBytes = 16 * 1024;
inline constexpr int64_t kProducer = 4711;

inline SchemaPtr keyed_schema() {
  static const SchemaPtr schema =
      std::make_shared<const Schema>(Schema{{Field{"key", DataType::of(TypeId::kString), true},
                                             Field{"value", DataType::of(TypeId::kInt64), true}}});
  return schema;
}

inline PartitionOptions keyed_options() {
  PartitionOptions options = test_options(0, kCompactionSegmentBytes);
  options.schema = keyed_schema();
  return options;
}

struct Row {
  int64_t offset = 0;
  std::optional<std::string> key;
  std::optional<int64_t> value;  // none: a tombstone

  bool operator==(const Row&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << row.offset << ":" << row.key.value_or("-") << "="
             << (row.value ? std::to_string(*row.value) : "-");
}

inline EncodedBatch encode(const std::vector<Row>& rows, int64_t transaction, int64_t sequence,
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

inline CompactionOptions at(int64_t now_us, int64_t delete_retention_us = 1'000'000) {
  CompactionOptions options;
  options.key_columns = {0};
  options.now_us = now_us;
  options.delete_retention_us = delete_retention_us;
  return options;
}

inline std::vector<Row> rows_of(const LogBatch& batch, int64_t from = 0) {
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

inline std::vector<Row> read_on(PartitionReader& reader) {
  std::vector<Row> rows;
  for (;;) {
    const int64_t from = reader.position();
    const auto batch = reader.next();
    if (!batch) return rows;
    for (Row& row : rows_of(*batch, from)) rows.push_back(std::move(row));
  }
}

inline std::unique_ptr<PartitionReader> committed_reader(Partition& partition, int64_t offset) {
  auto reader = partition.reader(offset);
  reader->set_isolation(Isolation::kReadCommitted);
  return reader;
}

inline std::vector<Row> read_from(Partition& partition, int64_t offset) {
  return read_on(*committed_reader(partition, offset));
}

// What a table that follows the topic holds at the end.
inline std::map<std::string, int64_t> table_of(const std::vector<Row>& rows) {
  std::map<std::string, int64_t> table;
  for (const Row& row : rows) {
    if (!row.key) continue;
    table.erase(*row.key);
    if (row.value) table[*row.key] = *row.value;
  }
  return table;
}

inline void expect_clean(const std::string& directory, std::shared_ptr<FileLayer> files = nullptr) {
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

}  // namespace pystream::storage
