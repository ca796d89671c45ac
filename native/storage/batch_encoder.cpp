#include "storage/batch_encoder.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/error.hpp"
#include "storage/batch_assembler.hpp"
#include "storage/dictionary_encoder.hpp"
#include "storage/header_crc.hpp"

namespace pystream::storage {

namespace {

bool is_int64_like(TypeId id) {
  return id == TypeId::kInt64 || id == TypeId::kTimestamp || id == TypeId::kDuration;
}

bool is_constant_int64(const Array& array) {
  if (!is_int64_like(array.type.id) || array.is_encoded() || array.null_count > 0) return false;
  const int64_t* values = array.data<int64_t>();
  if (values[0] != values[array.length - 1]) return false;
  return std::all_of(values, values + array.length, [&](int64_t v) { return v == values[0]; });
}

enum class DictionaryUse : uint8_t { kNever, kWhenItPays, kAlways };

const ColumnEntry* add_all_null(BatchAssembler* assembler, uint16_t id, const Array& array) {
  ColumnEntry* entry = assembler->begin_column(id, array.type.id, Encoding::kAllNull);
  entry->null_count = static_cast<uint32_t>(array.length);
  assembler->end_column();
  return entry;
}

const ColumnEntry* add_constant(BatchAssembler* assembler, uint16_t id, TypeId type,
                                int64_t value) {
  ColumnEntry* entry = assembler->begin_column(id, type, Encoding::kConstant);
  entry->flags = kColumnHasMinMax;
  entry->minimum = static_cast<uint64_t>(value);
  entry->maximum = static_cast<uint64_t>(value);
  assembler->end_column();
  return entry;
}

const ColumnEntry* add_encoded(BatchAssembler* assembler, uint16_t id, const Array& array) {
  ColumnEntry* entry = assembler->begin_column(id, array.type.id, Encoding::kDictionary);
  entry->null_count = static_cast<uint32_t>(array.null_count);
  entry->dictionary_length = static_cast<uint32_t>(array.dictionary->length);
  if (array.null_count > 0) assembler->add_validity(array);
  assembler->add_buffer(BufferKind::kCodes, false, array.values.slice(0, array.length * 4));
  assembler->add_plain(*array.dictionary, true, entry);
  assembler->end_column();
  return entry;
}

const ColumnEntry* add_plain(BatchAssembler* assembler, uint16_t id, const Array& array) {
  ColumnEntry* entry = assembler->begin_column(id, array.type.id, Encoding::kPlain);
  entry->null_count = static_cast<uint32_t>(array.null_count);
  assembler->add_plain(array, false, entry);
  assembler->end_column();
  return entry;
}

// Chooses the encoding. The returned entry is valid until the next column.
const ColumnEntry* add_column(BatchAssembler* assembler, uint16_t id, const Array& array,
                              DictionaryUse use) {
  if (array.null_count == array.length) return add_all_null(assembler, id, array);
  if (is_constant_int64(array)) {
    return add_constant(assembler, id, array.type.id, array.data<int64_t>()[0]);
  }
  if (array.is_encoded()) {
    if (use == DictionaryUse::kNever) return add_plain(assembler, id, decode_dictionary(array));
    return add_encoded(assembler, id, compact_dictionary(array));
  }
  if (use == DictionaryUse::kAlways) return add_encoded(assembler, id, encode_always(array));
  if (use == DictionaryUse::kWhenItPays && can_encode_dictionary(array.type.id)) {
    if (const std::optional<Array> encoded = encode_if_it_pays(array)) {
      return add_encoded(assembler, id, *encoded);
    }
  }
  return add_plain(assembler, id, array);
}

DictionaryUse dictionary_use(const EncodeOptions& options, int index, const Array& array) {
  if (array.type.is_dictionary) return DictionaryUse::kAlways;
  if (options.dictionary == DictionaryPolicy::kNever) return DictionaryUse::kNever;
  const bool is_key = std::find(options.key_columns.begin(), options.key_columns.end(), index) !=
                      options.key_columns.end();
  // What came encoded stays so, whatever its type.
  const bool wanted = is_key || array.type.is_var_binary() || array.is_encoded();
  return wanted ? DictionaryUse::kWhenItPays : DictionaryUse::kNever;
}

void check_timestamps_valid(const Array& array) {
  if (array.null_count == 0) return;
  int64_t row = 0;
  while (array.is_valid(row)) ++row;
  throw Error(ErrorCode::kSchema,
              "the record timestamp of row " + std::to_string(row) + " is null (" +
                  std::to_string(array.null_count) + " of " + std::to_string(array.length) +
                  " are). Give every record a timestamp, or none.",
              {{"row", row}});
}

// What a parser would refuse to read must not be written.
void check_shape(const RecordBatch& batch) {
  constexpr auto kBuiltinColumns = 5;
  const auto columns = static_cast<int64_t>(batch.columns.size());
  if (columns > int64_t{kMaxColumns} - kBuiltinColumns) {
    throw Error(ErrorCode::kNotSupported,
                "a topic of " + std::to_string(columns) +
                    " columns is not supported. Use at most " +
                    std::to_string(kMaxColumns - kBuiltinColumns) + ".",
                {{"columns", columns}});
  }
  if (batch.num_rows > kMaxRecordsPerBatch) {
    throw Error(ErrorCode::kRecordTooLarge,
                "a batch of " + std::to_string(batch.num_rows) + " records is more than the " +
                    std::to_string(kMaxRecordsPerBatch) +
                    " that a batch may have. Append fewer at "
                    "a time.",
                {{"records", batch.num_rows}, {"limit", kMaxRecordsPerBatch}});
  }
  if (batch.num_rows < 1) {
    throw Error(ErrorCode::kConfig,
                "a batch without records cannot be stored. Append at least one record.");
  }
}

// Record timestamps: the column and the header's range.
void add_timestamps(BatchAssembler* assembler, const Timestamps& timestamps, uint16_t flags,
                    int64_t record_count, BatchHeader* header) {
  if ((flags & kFlagAppendTime) != 0 || !timestamps.per_record) {
    const int64_t value = (flags & kFlagAppendTime) != 0 ? 0 : timestamps.constant_us;
    add_constant(assembler, kTimestampColumn, TypeId::kInt64, value);
    header->min_timestamp = value;
    header->max_timestamp = value;
    return;
  }
  Array array = decode_dictionary(*timestamps.per_record);
  check_timestamps_valid(array);
  assert(array.length == record_count);
  assert(array.type.id == TypeId::kInt64 ||
         (array.type.id == TypeId::kTimestamp && array.type.unit == TimeUnit::kMicro));
  static_cast<void>(record_count);
  array.type = DataType::of(TypeId::kInt64);
  const ColumnEntry* entry = add_column(assembler, kTimestampColumn, array, DictionaryUse::kNever);
  header->min_timestamp = static_cast<int64_t>(entry->minimum);
  header->max_timestamp = static_cast<int64_t>(entry->maximum);
}

// Offsets that do not simply follow the first one.
void add_offset_deltas(BatchAssembler* assembler, const Array& deltas, BatchHeader* header) {
  assert(deltas.length == header->record_count && deltas.type.id == TypeId::kInt32 &&
         deltas.null_count == 0);
  add_plain(assembler, kOffsetDeltaColumn, deltas);
  header->last_offset_delta = static_cast<uint32_t>(deltas.data<int32_t>()[deltas.length - 1]);
  header->flags |= kFlagExplicitOffsets;
}

// Sequences that do not simply follow base_sequence.
void add_sequences(BatchAssembler* assembler, const Array& sequences, BatchHeader* header) {
  assert(sequences.length == header->record_count && sequences.type.id == TypeId::kInt64 &&
         sequences.null_count == 0);
  const ColumnEntry* entry = add_plain(assembler, kSequenceColumn, sequences);
  assert(static_cast<int64_t>(entry->minimum) == header->base_sequence &&
         entry->maximum - entry->minimum >= header->record_count);
  static_cast<void>(entry);
  header->flags |= kFlagExplicitSequences;
}

BatchHeader unstamped_header(const EncodeOptions& options, int64_t record_count) {
  BatchHeader header{};
  header.magic = kBatchMagic;
  header.version = static_cast<uint8_t>(kFormatVersion);
  header.flags = options.flags;
  header.record_count = static_cast<uint32_t>(record_count);
  header.last_offset_delta = static_cast<uint32_t>(record_count - 1);
  header.producer_id = options.producer_id;
  header.producer_epoch = options.producer_epoch;
  header.sequence_lag = options.sequence_lag;
  header.base_sequence = options.base_sequence;
  header.schema_id = options.schema_id;
  header.transaction_id = options.transaction_id;
  return header;
}

}  // namespace

void check_nulls(const RecordBatch& batch) {
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    const Field& field = batch.schema->fields[i];
    const Array& column = batch.columns[i];
    if (field.nullable || column.null_count == 0) continue;
    int64_t row = 0;
    while (column.is_valid(row)) ++row;
    throw Error(ErrorCode::kSchema,
                "column '" + field.name + "' is not nullable, but row " + std::to_string(row) +
                    " is null (" + std::to_string(column.null_count) + " of " +
                    std::to_string(column.length) +
                    " rows are). Fill or drop the nulls, or declare the column nullable.",
                {{"column", field.name}, {"row", row}});
  }
}

EncodedBatch encode_batch(const RecordBatch& batch, const Timestamps& timestamps,
                          const Array* headers, const EncodeOptions& options,
                          const Array* sequences, const Array* offset_deltas) {
  check_shape(batch);
  check_nulls(batch);
  BatchAssembler assembler(options.codec);
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    const Array& column = batch.columns[i];
    assert(column.length == batch.num_rows && column.type == batch.schema->fields[i].type);
    add_column(&assembler, static_cast<uint16_t>(i), column,
               dictionary_use(options, static_cast<int>(i), column));
  }
  BatchHeader header = unstamped_header(options, batch.num_rows);
  add_timestamps(&assembler, timestamps, options.flags, batch.num_rows, &header);
  if (headers != nullptr) {
    assert(headers->length == batch.num_rows && headers->type.id == TypeId::kBinary);
    add_column(&assembler, kHeadersColumn, *headers, DictionaryUse::kWhenItPays);
  }
  if (offset_deltas != nullptr) add_offset_deltas(&assembler, *offset_deltas, &header);
  if (sequences != nullptr) add_sequences(&assembler, *sequences, &header);
  EncodedBatch encoded = assembler.finish(header);
  if (encoded.total_length > kMaxBatchBytes) {
    throw Error(ErrorCode::kRecordTooLarge,
                "a batch of " + std::to_string(batch.num_rows) + " records takes " +
                    std::to_string(encoded.total_length) + " bytes, more than the " +
                    std::to_string(kMaxBatchBytes) + " that a batch may. Append fewer at a time.",
                {{"size", encoded.total_length}, {"limit", kMaxBatchBytes}});
  }
  return encoded;
}

uint32_t stamp_batch(EncodedBatch* batch, const Stamp& stamp) {
  uint8_t* head = batch->head.data();
  BatchHeader header;
  std::memcpy(&header, head, sizeof(header));
  header.base_offset = stamp.base_offset;
  header.append_time_us = stamp.append_time_us;
  header.append_sequence = stamp.append_sequence;
  header.durable_offset = stamp.durable_offset;
  header.incarnation = stamp.incarnation;
  header.previous_header_crc = stamp.previous_header_crc;
  if (stamp.base_sequence >= 0) header.base_sequence = stamp.base_sequence;
  if ((header.flags & kFlagAppendTime) != 0) {
    header.min_timestamp = stamp.append_time_us;
    header.max_timestamp = stamp.append_time_us;
    for (size_t i = 0; i < header.column_count; ++i) {
      uint8_t* at = head + sizeof(BatchHeader) + i * sizeof(ColumnEntry);
      ColumnEntry entry;
      std::memcpy(&entry, at, sizeof(entry));
      if (entry.id != kTimestampColumn) continue;
      entry.minimum = static_cast<uint64_t>(stamp.append_time_us);
      entry.maximum = entry.minimum;
      std::memcpy(at, &entry, sizeof(entry));
    }
  }
  std::memcpy(head, &header, sizeof(header));
  header.header_crc = header_crc(head, header.header_length, stamp.salt, stamp.file_position);
  std::memcpy(head, &header, sizeof(header));
  return header.header_crc;
}

}  // namespace pystream::storage
