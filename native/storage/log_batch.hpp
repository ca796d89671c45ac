#pragma once
// One stored batch, read from mapped (or any) memory: parse and check the header, look at its
// statistics, read columns. The parser trusts nothing: every length is checked against the bytes
// that are there, so it may be pointed at garbage (see native/fuzz).

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "columns/record_batch.hpp"
#include "storage/format.hpp"

namespace pystream::storage {

enum class HeaderStatus : uint8_t {
  kOk,
  kEnd,           // zero magic: nothing was written here yet
  kTruncated,     // a plausible header whose batch does not fit into the bytes given
  kBad,           // wrong magic, wrong CRC, or an impossible field
  kOtherVersion,  // the CRC is right, and the version not one that this program reads
};

struct ParsedHeader {
  BatchHeader header;
  const ColumnEntry* columns = nullptr;  // points into the given bytes (8-byte aligned)
  const BufferEntry* buffers = nullptr;
};

// Checks magic, CRC (seeded with salt ^ file_position), version and every field of both tables.
// `bytes` begins at the batch and may reach past it.
HeaderStatus parse_header(std::span<const uint8_t> bytes, uint64_t salt, int64_t file_position,
                          ParsedHeader* out);

// Of the last record, whose batch has a producer; `sequences` is the entry of kSequenceColumn, null
// when there is none. -1 without a producer.
inline int64_t last_sequence(const BatchHeader& header, const ColumnEntry* sequences) {
  if (header.producer_id < 0) return -1;
  if (sequences != nullptr) return static_cast<int64_t>(sequences->maximum);
  return header.base_sequence + header.record_count - 1;
}

// Minimum and maximum of a column, as stored in its entry.
struct ColumnStatistics {
  uint32_t null_count = 0;
  bool has_min_max = false;
  uint64_t minimum = 0;  // bits of int64, uint64 or double by column type
  uint64_t maximum = 0;
};

// When the checksums of buffers are compared. Content that memory safety rests on (string offsets,
// dictionary codes, null counts) is checked together with them, and also under kNever.
enum class Verify : uint8_t {
  kFirst,   // once per process
  kAlways,  // at each read
  kNever,
};

// Where batches lie, for error messages.
struct SegmentPlace {
  std::string topic;
  int32_t partition = 0;
  std::string path;
};
struct BatchPlace : SegmentPlace {
  int64_t file_position = 0;
};

// A batch with an owner. Cheap to copy. Columns are views of the owner's memory unless compressed.
class LogBatch {
 public:
  // `verified`: one bit per buffer (buffers past 63 are verified each time), shared by all
  // LogBatches of this place in the process; may be null (then kFirst acts as kAlways).
  // `prefault` is called before bytes are first touched (MADV_POPULATE_READ) and throws on I/O
  // error; may be empty.
  LogBatch(std::span<const uint8_t> bytes, const ParsedHeader& parsed,
           std::shared_ptr<const void> owner, SchemaPtr schema,
           std::shared_ptr<const SegmentPlace> place, int64_t file_position,
           std::atomic<uint64_t>* verified,
           void (*prefault)(const void* owner, const uint8_t* data, size_t length));

  const BatchHeader& header() const { return header_; }
  int64_t base_offset() const { return header_.base_offset; }
  int64_t record_count() const { return header_.record_count; }
  int64_t next_offset() const { return header_.base_offset + header_.last_offset_delta + 1; }
  uint64_t append_sequence() const { return header_.append_sequence; }
  const SchemaPtr& schema() const { return schema_; }
  // Reads it under a schema that extends the stored one; the columns that it lacks are null.
  void widen(SchemaPtr schema) { schema_ = std::move(schema); }
  BatchPlace place() const { return {*place_, file_position_}; }  // copied: for errors and people
  // The tables as stored.
  std::span<const ColumnEntry> column_entries() const { return {columns_, header_.column_count}; }
  std::span<const BufferEntry> buffer_entries() const { return {buffers_, header_.buffer_count}; }

  // Of the user field at `index`, or of a built-in column id; nullopt when the batch lacks it.
  std::optional<ColumnStatistics> statistics(uint16_t column_id) const;

  // One column by id; checks its buffers' CRCs. A column that this batch lacks (older schema) is
  // all null. Dictionary-encoded columns come back encoded. Throws kCorruptRecord with topic,
  // partition, the batch's offset and next_offset, path and position.
  Array column(uint16_t column_id, Verify verify = Verify::kFirst) const;

  // Whether column() has nothing to check or decompress, so that it takes no time to speak of.
  bool is_at_hand(uint16_t column_id) const;

  // The user fields at `indices` of the schema, as a RecordBatch with that sub-schema.
  RecordBatch read(std::span<const int> indices, Verify verify = Verify::kFirst) const;
  RecordBatch read_all(Verify verify = Verify::kFirst) const;

  Array timestamps(Verify verify = Verify::kFirst) const;  // int64 microseconds
  std::optional<Array> headers(Verify verify = Verify::kFirst) const;
  // Of each record, its producer's: int64, rising; -1 without a producer.
  Array sequences(Verify verify = Verify::kFirst) const;
  int64_t last_sequence() const;

  // --- Offsets, which have gaps where compaction removed records. Throw as column() does ---

  bool has_gaps() const { return (header_.flags & kFlagExplicitOffsets) != 0; }
  // Of each record, above base_offset(): int32, rising from 0.
  Array offset_deltas(Verify verify = Verify::kFirst) const;
  int64_t offset_of(int64_t row) const;
  // The first row whose offset is not below `offset`; record_count() when there is none.
  int64_t row_from(int64_t offset) const;

  // Checks all that reading every stored column would check; throws as column() does.
  void verify(Verify verify = Verify::kFirst) const;

 private:
  // A buffer's raw bytes, and whether their content was not checked before in this process.
  struct Loaded {
    Buffer buffer;
    bool is_unchecked = false;
  };

  const ColumnEntry* find(uint16_t column_id) const;
  DataType type_of(uint16_t column_id) const;
  void check_type(const ColumnEntry& column, const DataType& type) const;
  bool is_verified(uint32_t buffer) const;
  Loaded load(const ColumnEntry& column, uint32_t buffer, Verify verify) const;
  void mark_verified(uint32_t buffer, Verify verify) const;
  Array load_plain(const ColumnEntry& column, const DataType& type, int64_t length,
                   uint32_t first_buffer, Verify verify) const;
  Array load_encoded(const ColumnEntry& column, const DataType& type, uint32_t first_buffer,
                     Verify verify) const;
  Buffer load_validity(const ColumnEntry& column, Verify verify) const;
  [[noreturn]] void throw_corrupt(uint16_t column_id, const std::string& what) const;

  std::span<const uint8_t> bytes_;
  BatchHeader header_;
  const ColumnEntry* columns_;
  const BufferEntry* buffers_;
  std::shared_ptr<const void> owner_;
  SchemaPtr schema_;
  std::shared_ptr<const SegmentPlace> place_;
  int64_t file_position_;
  std::atomic<uint64_t>* verified_;
  void (*prefault_)(const void*, const uint8_t*, size_t);
};

}  // namespace pystream::storage
