#include <cassert>
#include <cstring>
#include <limits>

#include "base/lz4.hpp"
#include "storage/format_version.hpp"
#include "storage/header_crc.hpp"
#include "storage/log_batch.hpp"

namespace pystream::storage {

namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

bool is_known_type(uint8_t type) {
  return type >= static_cast<uint8_t>(TypeId::kBool) &&
         type <= static_cast<uint8_t>(TypeId::kBinary);
}

// Of a header whose version is not read. The checksum and the length are where they always are, and
// tell another format from damage.
bool is_intact(std::span<const uint8_t> bytes, const BatchHeader& header, uint64_t salt,
               int64_t file_position) {
  return header.header_length >= sizeof(BatchHeader) && header.header_length <= kMaxHeaderBytes &&
         header.header_length <= bytes.size() &&
         header_crc(bytes.data(), header.header_length, salt, file_position) == header.header_crc;
}

bool is_sound_header(const BatchHeader& header) {
  const uint64_t expected_length = sizeof(BatchHeader) +
                                   uint64_t{header.column_count} * sizeof(ColumnEntry) +
                                   uint64_t{header.buffer_count} * sizeof(BufferEntry);
  return header.column_count <= kMaxColumns && header.buffer_count <= kMaxBuffers &&
         header.header_length == expected_length && header.total_length % kBatchAlignment == 0 &&
         header.total_length >= expected_length &&
         header.total_length <= static_cast<uint64_t>(kMaxBatchBytes) && header.record_count > 0 &&
         header.record_count <= kMaxRecordsPerBatch && header.base_offset >= 0 &&
         header.last_offset_delta <= kMaxInt32 &&
         header.base_offset < std::numeric_limits<int64_t>::max() - kMaxInt32 &&
         header.min_timestamp <= header.max_timestamp;
}

bool has_sound_offsets(const BatchHeader& header) {
  const uint32_t dense = header.record_count - 1;
  return (header.flags & kFlagExplicitOffsets) != 0 ? header.last_offset_delta >= dense
                                                    : header.last_offset_delta == dense;
}

// A batch has a producer with a sequence, or neither.
bool has_sound_producer(const BatchHeader& header) {
  if (header.producer_id == -1) {
    return header.producer_epoch == -1 && header.base_sequence == -1 && header.sequence_lag == 0 &&
           (header.flags & kFlagExplicitSequences) == 0;
  }
  return header.producer_id >= 0 && header.producer_epoch >= 0 && header.base_sequence >= 0 &&
         header.base_sequence < kSequenceLimit;
}

// A batch of a transaction names it and has a producer; the marker that ends one is a single
// record.
bool has_sound_transaction(const BatchHeader& header) {
  const bool is_control = (header.flags & kFlagControl) != 0;
  if ((header.flags & kFlagTransactional) == 0) {
    return !is_control && (header.flags & kFlagCommit) == 0;
  }
  if (header.transaction_id < 0 || header.producer_id < 0) return false;
  if (!is_control) return (header.flags & kFlagCommit) == 0;
  return header.record_count == 1 && header.last_offset_delta == 0;
}

// What the encoding of a column says about one of its buffers.
struct ExpectedBuffer {
  BufferKind kind;
  bool of_dictionary;
  int64_t raw_length;  // kAnyLength: up to 2 GiB
};
constexpr int64_t kAnyLength = -1;

struct ExpectedBuffers {
  ExpectedBuffer buffers[4];  // at most [validity] codes, offsets, bytes
  uint32_t count = 0;

  void add(BufferKind kind, bool of_dictionary, int64_t raw_length) {
    buffers[count++] = {kind, of_dictionary, raw_length};
  }

  void add_plain(const DataType& type, bool of_dictionary, int64_t length) {
    if (type.is_var_binary()) {
      add(BufferKind::kOffsets, of_dictionary, (length + 1) * 4);
      add(BufferKind::kValues, of_dictionary, kAnyLength);
    } else if (type.is_bool()) {
      add(BufferKind::kValues, of_dictionary, bitmap_bytes(length));
    } else {
      add(BufferKind::kValues, of_dictionary, length * type.byte_width());
    }
  }
};

ExpectedBuffers expected_buffers(const ColumnEntry& column, int64_t record_count) {
  const DataType type = DataType::of(static_cast<TypeId>(column.type));
  ExpectedBuffers expected;
  if (column.encoding == Encoding::kConstant || column.encoding == Encoding::kAllNull) {
    return expected;
  }
  if (column.null_count > 0) {
    expected.add(BufferKind::kValidity, false, bitmap_bytes(record_count));
  }
  if (column.encoding == Encoding::kPlain) {
    expected.add_plain(type, false, record_count);
  } else {
    expected.add(BufferKind::kCodes, false, record_count * 4);
    expected.add_plain(type, true, column.dictionary_length);
  }
  return expected;
}

bool is_sound_column(const ColumnEntry& column, int64_t record_count) {
  if (!is_known_type(column.type) || column.null_count > record_count) return false;
  const DataType type = DataType::of(static_cast<TypeId>(column.type));
  const bool is_dictionary = column.encoding == Encoding::kDictionary;
  if (is_dictionary != (column.dictionary_length > 0)) return false;
  switch (column.encoding) {
    case Encoding::kPlain:
      return true;
    case Encoding::kDictionary:
      return column.dictionary_length <= kMaxInt32;
    case Encoding::kConstant:
      return column.null_count == 0 && type.byte_width() == 8 && !type.is_floating() &&
             type.id != TypeId::kUInt64;
    case Encoding::kAllNull:
      return column.null_count == record_count;
  }
  return false;
}

// Rising from base_sequence, with a gap somewhere: else they would not be stored.
bool are_sound_sequences(const ColumnEntry& column, const BatchHeader& header) {
  return column.encoding == Encoding::kPlain && (column.flags & kColumnHasMinMax) != 0 &&
         static_cast<int64_t>(column.minimum) == header.base_sequence &&
         static_cast<int64_t>(column.maximum) > header.base_sequence &&
         static_cast<int64_t>(column.maximum) < kSequenceLimit &&
         column.maximum - column.minimum >= header.record_count;
}

bool is_sound_builtin(const ColumnEntry& column, const BatchHeader& header) {
  const auto type = static_cast<TypeId>(column.type);
  const bool has_nulls = column.null_count > 0;
  switch (column.id) {
    case kTimestampColumn:
      return type == TypeId::kInt64 && !has_nulls;
    case kHeadersColumn:
      return type == TypeId::kBinary;
    case kRowKindColumn:
      return type == TypeId::kInt8 && !has_nulls;
    case kOffsetDeltaColumn:
      return type == TypeId::kInt32 && !has_nulls;
    case kSequenceColumn:
      return type == TypeId::kInt64 && !has_nulls && are_sound_sequences(column, header);
    default:
      return false;
  }
}

// User columns ascend, then the built-in ones descend: no id appears twice.
bool follows(uint16_t previous, uint16_t id) {
  if (id < kFirstBuiltinColumn) return previous < id;
  return previous < kFirstBuiltinColumn || previous > id;
}

bool is_sound_buffer(const BufferEntry& buffer, const ExpectedBuffer& expected) {
  if (buffer.kind != expected.kind || buffer.of_dictionary != (expected.of_dictionary ? 1 : 0)) {
    return false;
  }
  if (buffer.raw_length > static_cast<uint64_t>(kMaxInt32) ||
      buffer.stored_length > buffer.raw_length) {
    return false;
  }
  if (expected.raw_length != kAnyLength &&
      buffer.raw_length != static_cast<uint64_t>(expected.raw_length)) {
    return false;
  }
  switch (buffer.codec) {
    case Codec::kNone:
      return buffer.stored_length == buffer.raw_length;
    case Codec::kLz4:
      // A short block cannot ask for much memory.
      return static_cast<int64_t>(buffer.raw_length) <=
             lz4_max_raw_length(static_cast<int64_t>(buffer.stored_length));
  }
  return false;
}

// Every column's buffers, one after the other without a gap up to the end of the batch.
bool are_sound_tables(const ParsedHeader& parsed) {
  const BatchHeader& header = parsed.header;
  auto at = static_cast<uint64_t>(round_up_64(header.header_length));
  uint32_t next_buffer = 0;
  uint16_t previous_id = 0;
  uint16_t flags_by_columns = 0;
  bool has_timestamp = false;
  for (uint32_t i = 0; i < header.column_count; ++i) {
    const ColumnEntry& column = parsed.columns[i];
    if (i > 0 && !follows(previous_id, column.id)) return false;
    previous_id = column.id;
    if (!is_sound_column(column, header.record_count)) return false;
    if (column.id >= kFirstBuiltinColumn && !is_sound_builtin(column, header)) return false;
    if (column.id == kTimestampColumn) has_timestamp = true;
    if (column.id == kRowKindColumn) flags_by_columns |= kFlagRowKinds;
    if (column.id == kOffsetDeltaColumn) flags_by_columns |= kFlagExplicitOffsets;
    if (column.id == kSequenceColumn) flags_by_columns |= kFlagExplicitSequences;

    const ExpectedBuffers expected = expected_buffers(column, header.record_count);
    if (column.first_buffer != next_buffer || column.buffer_count != expected.count ||
        header.buffer_count - next_buffer < expected.count) {
      return false;
    }
    for (uint32_t b = 0; b < expected.count; ++b) {
      const BufferEntry& buffer = parsed.buffers[next_buffer + b];
      if (buffer.offset != at || !is_sound_buffer(buffer, expected.buffers[b])) return false;
      at += static_cast<uint64_t>(round_up_64(static_cast<int64_t>(buffer.stored_length)));
      if (at > header.total_length) return false;
    }
    next_buffer += expected.count;
  }
  constexpr uint16_t kColumnFlags = kFlagRowKinds | kFlagExplicitOffsets | kFlagExplicitSequences;
  return has_timestamp && next_buffer == header.buffer_count && at == header.total_length &&
         (header.flags & kColumnFlags) == flags_by_columns;
}

}  // namespace

HeaderStatus parse_header(std::span<const uint8_t> bytes, uint64_t salt, int64_t file_position,
                          ParsedHeader* out) {
  assert(reinterpret_cast<uintptr_t>(bytes.data()) % alignof(ColumnEntry) == 0);
  uint32_t magic = 0;
  if (bytes.size() < sizeof(magic)) return HeaderStatus::kTruncated;
  std::memcpy(&magic, bytes.data(), sizeof(magic));
  if (magic == 0) return HeaderStatus::kEnd;
  if (magic != kBatchMagic) return HeaderStatus::kBad;
  if (bytes.size() < sizeof(BatchHeader)) return HeaderStatus::kTruncated;

  BatchHeader& header = out->header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (!is_readable_version(header.version)) {
    const bool is_whole = is_intact(bytes, header, salt, file_position);
    return is_whole ? HeaderStatus::kOtherVersion : HeaderStatus::kBad;
  }
  if (!is_sound_header(header) || !has_sound_offsets(header) || !has_sound_producer(header) ||
      !has_sound_transaction(header)) {
    return HeaderStatus::kBad;
  }
  if (bytes.size() < header.header_length) return HeaderStatus::kTruncated;
  if (header_crc(bytes.data(), header.header_length, salt, file_position) != header.header_crc) {
    return HeaderStatus::kBad;
  }
  const uint8_t* tables = bytes.data() + sizeof(BatchHeader);
  out->columns = reinterpret_cast<const ColumnEntry*>(tables);
  out->buffers = reinterpret_cast<const BufferEntry*>(tables + size_t{header.column_count} *
                                                                   sizeof(ColumnEntry));
  if (!are_sound_tables(*out)) return HeaderStatus::kBad;
  return bytes.size() < header.total_length ? HeaderStatus::kTruncated : HeaderStatus::kOk;
}

}  // namespace pystream::storage
