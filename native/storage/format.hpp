#pragma once
// The on-disk format: constants and byte layouts, once. docs/formats/segment.md describes the same
// for people. Everything is little endian; host structs mirror the bytes exactly and are copied
// with memcpy, never cast onto unaligned memory.
//
//   segment := SegmentHeader (4096 bytes) · schema blob (padded to 4096) · batch* · zeroed header
//   batch   := BatchHeader (128) · ColumnEntry[column_count] · BufferEntry[buffer_count]
//              · padding to 64 · buffer* (each at a multiple of 64, zero padded)
//
// A batch starts at a multiple of 64. All-zero magic means "end of the log so far".

#include <cstdint>

namespace pystream::storage {

// What is written, and the oldest that is still read: see format_version.hpp.
inline constexpr uint16_t kFormatVersion = 1;
inline constexpr uint16_t kOldestFormatVersion = 1;
inline constexpr uint32_t kSegmentMagic = 0x52545350;  // "PSTR"
inline constexpr uint32_t kBatchMagic = 0x48425350;    // "PSBH"
inline constexpr int64_t kSegmentHeaderBytes = 4096;
inline constexpr int64_t kBatchAlignment = 64;

// Incompatible features of a segment.
inline constexpr uint32_t kFeatureCompacted = 1u << 0;  // offsets of removed records are missing
inline constexpr uint32_t kKnownFeatures = kFeatureCompacted;

struct SegmentHeader {
  uint32_t magic;
  uint32_t crc;  // CRC32C of bytes 8..4096 with this field left out, then of the schema blob
  uint16_t version;
  uint16_t reserved0;
  uint32_t incompatible_features;  // a reader that does not know a bit refuses the file
  uint32_t compatible_features;    // a reader may ignore these
  int32_t partition;
  uint8_t topic_id[16];
  int64_t base_offset;
  uint64_t salt;  // random; seeds every header CRC, so stale batches of another file never pass
  uint32_t incarnation;  // of the partition; rises after a failed sync and after power loss
  uint32_t schema_id;
  uint32_t schema_offset;  // of the schema blob from the start of the file
  uint32_t schema_length;
  int64_t data_offset;  // of the first batch
  int64_t created_us;
  int64_t max_bytes;  // the file never grows past it, so readers map that much once
  // Where the log ended before this segment. Less than base_offset only when offsets were skipped
  // on purpose (after power loss, so that none is reused); any other hole between segments is loss.
  int64_t previous_end_offset;
  // Of a compacted segment; zero in others.
  int64_t compacted_end_offset;    // up to which it holds all that is left
  int64_t compacted_end_position;  // behind its last batch; there stand the producers
  int64_t first_compacted_us;      // tombstones in it are kept for so long after
  uint64_t last_append_sequence;   // of the batches that were ever in it
  uint64_t tombstone_count;
  uint32_t producer_count;
  uint32_t producers_crc;
  int64_t compared_end_offset;  // where the log ended then: no record behind made one of here go
};
static_assert(sizeof(SegmentHeader) == 160);

// What the batches that were ever in a compacted segment say of a producer.
struct CompactedProducer {
  int64_t producer_id;
  int64_t last_sequence;      // -1: none
  int64_t complete_sequence;  // see BatchHeader::sequence_lag; -1: none
  int32_t epoch;              // the largest, of batches and of markers
  uint32_t reserved;
};
static_assert(sizeof(CompactedProducer) == 32);
inline constexpr uint32_t kMaxCompactedProducers = 1u << 20;

// Flags of a batch.
inline constexpr uint16_t kFlagTransactional = 1u << 0;
inline constexpr uint16_t kFlagControl = 1u << 1;
inline constexpr uint16_t kFlagRowKinds = 1u << 2;    // a kRowKindColumn is present
inline constexpr uint16_t kFlagAppendTime = 1u << 3;  // timestamps are append time, not create time
inline constexpr uint16_t kFlagExplicitOffsets =
    1u << 4;  // a kOffsetDeltaColumn is present (compaction)
inline constexpr uint16_t kFlagTombstones = 1u << 5;
inline constexpr uint16_t kFlagExplicitSequences = 1u << 6;  // a kSequenceColumn is present
// Of a control batch: its transaction was committed in this partition; else it was aborted.
inline constexpr uint16_t kFlagCommit = 1u << 7;

// Of a batch that says nothing about other batches: see BatchHeader::sequence_lag.
inline constexpr int32_t kUnknownSequenceLag = INT32_MAX;

struct BatchHeader {
  uint32_t magic;
  uint32_t header_crc;  // CRC32C of bytes 8..header_length, seeded with salt ^ file position
  uint8_t version;
  uint8_t reserved0;
  uint16_t flags;
  uint32_t header_length;  // this header and both tables
  uint64_t total_length;   // a multiple of 64
  int64_t base_offset;
  uint32_t record_count;
  uint32_t last_offset_delta;  // record_count - 1 unless compacted
  int64_t min_timestamp;       // of the record timestamps, microseconds
  int64_t max_timestamp;
  int64_t producer_id;     // -1: none
  int32_t producer_epoch;  // -1: none
  // The batch's last sequence minus the largest one up to which all records of this producer and
  // topic are stored, in any partition, once this batch is. Negative where others are ahead.
  int32_t sequence_lag;
  uint32_t schema_id;
  uint16_t column_count;
  uint16_t buffer_count;
  int64_t append_time_us;
  int64_t transaction_id;    // -1: none
  uint64_t append_sequence;  // log-wide order of appends
  int64_t durable_offset;    // all records below it were synced when this batch was appended
  uint32_t incarnation;
  uint32_t previous_header_crc;  // 0 for the first batch of a segment
  int64_t base_sequence;         // of the first record; the others follow unless explicit. -1: none
};
static_assert(sizeof(BatchHeader) == 128);

// Column ids: user fields count from 0 in schema order; built-in columns count down from the top.
inline constexpr uint16_t kTimestampColumn = 0xFFFF;  // int64 microseconds; always present
inline constexpr uint16_t kHeadersColumn = 0xFFFE;    // binary: Kafka's encoding of record headers
inline constexpr uint16_t kRowKindColumn = 0xFFFD;    // int8
inline constexpr uint16_t kOffsetDeltaColumn = 0xFFFC;  // int32
inline constexpr uint16_t kSequenceColumn = 0xFFFB;     // int64: the producer's, rising
inline constexpr uint16_t kFirstBuiltinColumn = 0xFF00;

enum class Encoding : uint8_t {
  kPlain = 0,       // buffers: [validity] values, or [validity] offsets bytes
  kDictionary = 1,  // buffers: [validity] int32 codes, then the dictionary's plain buffers
  kConstant = 2,    // no buffers: every row is `minimum` (int64-like) and valid
  kAllNull = 3,     // no buffers
};

inline constexpr uint32_t kColumnHasMinMax = 1u << 0;

struct ColumnEntry {
  uint16_t id;
  uint8_t type;  // TypeId
  Encoding encoding;
  uint32_t flags;
  uint32_t null_count;
  uint32_t dictionary_length;
  uint32_t first_buffer;
  uint32_t buffer_count;
  // Of the non-null values of a fixed-width column (bool, decimal128: absent), as int64, uint64 or
  // double bits. NaN is left out of them; absent when nothing is left.
  uint64_t minimum;
  uint64_t maximum;
  uint64_t reserved;
};
static_assert(sizeof(ColumnEntry) == 48);

enum class BufferKind : uint8_t { kValidity = 0, kOffsets = 1, kValues = 2, kCodes = 3 };
enum class Codec : uint8_t { kNone = 0, kLz4 = 1 };

struct BufferEntry {
  uint64_t offset;  // from the start of the batch, a multiple of 64
  uint64_t stored_length;
  uint64_t raw_length;
  uint32_t crc;  // CRC32C of the stored bytes
  Codec codec;
  BufferKind kind;
  uint8_t of_dictionary;  // 1: belongs to the dictionary of its column
  uint8_t reserved;
};
static_assert(sizeof(BufferEntry) == 32);

// Limits that a parser enforces before it trusts a length.
inline constexpr uint32_t kMaxColumns = 4096;
inline constexpr uint32_t kMaxBuffers = 8 * kMaxColumns;
inline constexpr uint32_t kMaxHeaderBytes =
    sizeof(BatchHeader) + kMaxColumns * sizeof(ColumnEntry) + kMaxBuffers * sizeof(BufferEntry);
inline constexpr int64_t kMaxRecordsPerBatch = int64_t{1} << 24;
inline constexpr int64_t kMaxBatchBytes = int64_t{1} << 30;
inline constexpr int64_t kSequenceLimit = int64_t{1} << 62;  // above every base sequence

}  // namespace pystream::storage
