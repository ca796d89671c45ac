#pragma once
// Columns in, bytes of one batch out. All the expensive work (statistics, dictionary encoding,
// LZ4, buffer checksums) happens here, outside any lock; what depends on the place in the log
// (offset, sequence, salt) is stamped later into the header alone.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "columns/record_batch.hpp"
#include "storage/format.hpp"

namespace pystream::storage {

enum class DictionaryPolicy : uint8_t {
  kNever,
  kAuto,  // when it pays: string and binary columns, and the columns in `key_columns`
};

struct EncodeOptions {
  Codec codec = Codec::kNone;
  DictionaryPolicy dictionary = DictionaryPolicy::kAuto;
  std::vector<int> key_columns;  // indexes of fields
  uint32_t schema_id = 0;
  uint16_t flags = 0;
  int64_t producer_id = -1;
  int32_t producer_epoch = -1;
  int64_t base_sequence = -1;
  int32_t sequence_lag = 0;
  int64_t transaction_id = -1;
};

// Record timestamps of a batch: one for all rows, or one per row.
struct Timestamps {
  int64_t constant_us = 0;
  std::optional<Array> per_record;  // int64 or timestamp[us], no nulls
};

struct EncodedBatch {
  std::vector<uint8_t> head;  // header and both tables, padded to 64; header not yet stamped
  std::vector<Buffer> body;   // stored bytes of each buffer, in file order, unpadded
  int64_t total_length = 0;   // of the whole batch in the file
  int64_t record_count = 0;
};

// Throws kSchema naming column and first row when a column that is not nullable has a null.
void check_nulls(const RecordBatch& batch);

// Encodes `batch`, of the types of its schema. `headers` is the optional binary column of record
// headers, `sequences` the optional column of rising int64 sequences, for those that do not simply
// follow base_sequence, `offset_deltas` the optional int32 column of offsets above the first, for
// those that have gaps. Plain buffers are referenced, not copied. Throws kRecordTooLarge when the
// batch would pass kMaxRecordsPerBatch or kMaxBatchBytes (the caller splits), kSchema on a null in
// a non-nullable field or among the timestamps, kNotSupported with too many columns, kConfig
// without a row.
EncodedBatch encode_batch(const RecordBatch& batch, const Timestamps& timestamps,
                          const Array* headers, const EncodeOptions& options,
                          const Array* sequences = nullptr, const Array* offset_deltas = nullptr);

// What is known only under the partition's lock.
struct Stamp {
  int64_t base_offset = 0;
  int64_t append_time_us = 0;
  uint64_t append_sequence = 0;
  int64_t durable_offset = 0;
  uint32_t incarnation = 0;
  uint32_t previous_header_crc = 0;
  uint64_t salt = 0;
  int64_t file_position = 0;
  int64_t base_sequence = -1;  // -1: as encoded
};

// Writes the stamp into head, computes the header CRC and returns it. With kFlagAppendTime the
// record timestamps become append_time_us too.
uint32_t stamp_batch(EncodedBatch* batch, const Stamp& stamp);

}  // namespace pystream::storage
