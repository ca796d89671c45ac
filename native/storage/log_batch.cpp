#include "storage/log_batch.hpp"

#include <algorithm>
#include <cassert>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "base/lz4.hpp"
#include "columns/builder.hpp"

namespace pystream::storage {

namespace {

constexpr uint32_t kTrackedBuffers = 64;  // as many as `verified` has bits

// `count` + 1 offsets that start at 0, never fall and end at the last byte.
bool are_sound_offsets(const int32_t* offsets, int64_t count, int64_t byte_count) {
  if (offsets[0] != 0 || offsets[count] != byte_count) return false;
  bool falls = false;
  for (int64_t i = 0; i < count; ++i) falls |= offsets[i + 1] < offsets[i];
  return !falls;
}

bool are_sound_codes(const int32_t* codes, int64_t count, uint32_t dictionary_length) {
  uint32_t maximum = 0;  // as unsigned, so that negative codes are too large
  for (int64_t i = 0; i < count; ++i) maximum = std::max(maximum, static_cast<uint32_t>(codes[i]));
  return maximum < dictionary_length;
}

}  // namespace

LogBatch::LogBatch(std::span<const uint8_t> bytes, const ParsedHeader& parsed,
                   std::shared_ptr<const void> owner, SchemaPtr schema,
                   std::shared_ptr<const SegmentPlace> place, int64_t file_position,
                   std::atomic<uint64_t>* verified,
                   void (*prefault)(const void* owner, const uint8_t* data, size_t length))
    : bytes_(bytes.first(parsed.header.total_length)),
      header_(parsed.header),
      columns_(parsed.columns),
      buffers_(parsed.buffers),
      owner_(std::move(owner)),
      schema_(std::move(schema)),
      place_(std::move(place)),
      file_position_(file_position),
      verified_(verified),
      prefault_(prefault) {}

const ColumnEntry* LogBatch::find(uint16_t column_id) const {
  // Columns are nearly always stored in full, so that id and index agree.
  if (column_id < header_.column_count && columns_[column_id].id == column_id) {
    return columns_ + column_id;
  }
  const ColumnEntry* end = columns_ + header_.column_count;
  const ColumnEntry* at =
      std::find_if(columns_, end, [&](const ColumnEntry& c) { return c.id == column_id; });
  return at == end ? nullptr : at;
}

DataType LogBatch::type_of(uint16_t column_id) const {
  switch (column_id) {
    case kTimestampColumn:
    case kSequenceColumn:
      return DataType::of(TypeId::kInt64);
    case kHeadersColumn:
      return DataType::of(TypeId::kBinary);
    case kRowKindColumn:
      return DataType::of(TypeId::kInt8);
    case kOffsetDeltaColumn:
      return DataType::of(TypeId::kInt32);
    default:
      assert(column_id < schema_->fields.size());
      return schema_->fields[column_id].type;
  }
}

void LogBatch::check_type(const ColumnEntry& column, const DataType& type) const {
  if (column.type == static_cast<uint8_t>(type.id)) return;
  throw_corrupt(column.id, "is stored with type number " + std::to_string(column.type) +
                               " although its schema says " + type.to_string());
}

bool LogBatch::is_verified(uint32_t buffer) const {
  return verified_ != nullptr && buffer < kTrackedBuffers &&
         ((verified_->load(std::memory_order_acquire) >> buffer) & 1) != 0;
}

void LogBatch::verify(Verify verify) const {
  for (uint32_t i = 0; i < header_.column_count; ++i) {
    const ColumnEntry& entry = columns_[i];
    const bool is_user_column = entry.id < kFirstBuiltinColumn;
    if (is_user_column && entry.id >= schema_->size()) continue;  // nobody can ask for it
    check_type(entry, type_of(entry.id));
    bool is_pending = false;
    for (uint32_t b = entry.first_buffer; b < entry.first_buffer + entry.buffer_count; ++b) {
      is_pending |= verify != Verify::kFirst || !is_verified(b);
    }
    if (is_pending) column(entry.id, verify);
    if (entry.id == kOffsetDeltaColumn) offset_deltas(verify);
  }
}

std::optional<ColumnStatistics> LogBatch::statistics(uint16_t column_id) const {
  const ColumnEntry* column = find(column_id);
  if (column == nullptr) return std::nullopt;
  return ColumnStatistics{column->null_count, (column->flags & kColumnHasMinMax) != 0,
                          column->minimum, column->maximum};
}

Array LogBatch::column(uint16_t column_id, Verify verify) const {
  const DataType type = type_of(column_id);
  const ColumnEntry* column = find(column_id);
  const int64_t rows = record_count();
  if (column != nullptr) check_type(*column, type);
  if (column == nullptr || column->encoding == Encoding::kAllNull) {
    const Array nulls = make_nulls(type, rows);
    return type.is_dictionary ? encode_dictionary(nulls) : nulls;
  }
  if (column->encoding == Encoding::kConstant) {
    return make_constant_int64(type, static_cast<int64_t>(column->minimum), rows);
  }
  const bool has_nulls = column->null_count > 0;
  const uint32_t first_value_buffer = column->first_buffer + (has_nulls ? 1 : 0);
  Array array = column->encoding == Encoding::kPlain
                    ? load_plain(*column, type, rows, first_value_buffer, verify)
                    : load_encoded(*column, type, first_value_buffer, verify);
  array.null_count = column->null_count;
  if (has_nulls) array.validity = load_validity(*column, verify);
  return array;
}

bool LogBatch::is_at_hand(uint16_t column_id) const {
  const ColumnEntry* column = find(column_id);
  if (column == nullptr || column->encoding != Encoding::kPlain) return false;
  const uint32_t end = column->first_buffer + column->buffer_count;
  for (uint32_t b = column->first_buffer; b < end; ++b) {
    if (buffers_[b].codec != Codec::kNone || !is_verified(b)) return false;
  }
  return true;
}

RecordBatch LogBatch::read(std::span<const int> indices, Verify verify) const {
  RecordBatch batch;
  batch.num_rows = record_count();
  auto schema = std::make_shared<Schema>();
  for (int index : indices) {
    schema->fields.push_back(schema_->fields[static_cast<size_t>(index)]);
    batch.columns.push_back(column(static_cast<uint16_t>(index), verify));
  }
  batch.schema = std::move(schema);
  return batch;
}

RecordBatch LogBatch::read_all(Verify verify) const {
  RecordBatch batch;
  batch.schema = schema_;
  batch.num_rows = record_count();
  for (int i = 0; i < schema_->size(); ++i) {
    batch.columns.push_back(column(static_cast<uint16_t>(i), verify));
  }
  return batch;
}

Array LogBatch::timestamps(Verify verify) const { return column(kTimestampColumn, verify); }

std::optional<Array> LogBatch::headers(Verify verify) const {
  if (find(kHeadersColumn) == nullptr) return std::nullopt;
  return column(kHeadersColumn, verify);
}

int64_t LogBatch::last_sequence() const {
  return storage::last_sequence(header_, find(kSequenceColumn));
}

Array LogBatch::sequences(Verify verify) const {
  if (find(kSequenceColumn) != nullptr) return column(kSequenceColumn, verify);
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  for (int64_t row = 0; row < record_count(); ++row) {
    builder.append(header_.producer_id < 0 ? -1 : header_.base_sequence + row);
  }
  return builder.finish();
}

Array LogBatch::offset_deltas(Verify verify) const {
  if (!has_gaps()) {
    FixedBuilder<int32_t> builder(DataType::of(TypeId::kInt32));
    for (int64_t row = 0; row < record_count(); ++row) builder.append(static_cast<int32_t>(row));
    return builder.finish();
  }
  Array deltas = decode_dictionary(column(kOffsetDeltaColumn, verify));
  const int32_t* values = deltas.data<int32_t>();
  bool is_sound = values[0] == 0 &&
                  values[deltas.length - 1] == static_cast<int32_t>(header_.last_offset_delta);
  for (int64_t row = 1; row < deltas.length; ++row) is_sound &= values[row] > values[row - 1];
  if (!is_sound) throw_corrupt(kOffsetDeltaColumn, "has offsets that do not rise to the last one");
  return deltas;
}

int64_t LogBatch::offset_of(int64_t row) const {
  if (!has_gaps()) return base_offset() + row;
  return base_offset() + offset_deltas().data<int32_t>()[row];
}

int64_t LogBatch::row_from(int64_t offset) const {
  const int64_t delta = std::max<int64_t>(0, offset - base_offset());
  if (!has_gaps()) return std::min(delta, record_count());
  const Array deltas = offset_deltas();
  const int32_t* begin = deltas.data<int32_t>();
  return std::lower_bound(begin, begin + deltas.length, delta) - begin;
}

LogBatch::Loaded LogBatch::load(const ColumnEntry& column, uint32_t buffer, Verify verify) const {
  const BufferEntry& entry = buffers_[buffer];
  const uint8_t* stored = bytes_.data() + entry.offset;
  const bool was_verified = is_verified(buffer);
  if (!was_verified && prefault_ != nullptr && entry.stored_length > 0) {
    prefault_(owner_.get(), stored, entry.stored_length);
  }
  if (verify == Verify::kAlways || (verify == Verify::kFirst && !was_verified)) {
    if (crc32c(0, stored, entry.stored_length) != entry.crc) {
      throw_corrupt(column.id, "does not match its checksum");
    }
  }
  Loaded loaded;
  loaded.is_unchecked = verify == Verify::kAlways || !was_verified;
  const auto raw_length = static_cast<int64_t>(entry.raw_length);
  if (entry.codec == Codec::kNone) {
    loaded.buffer = {stored, raw_length, owner_};
    return loaded;
  }
  MutableBuffer raw(raw_length);
  if (!lz4_decompress(stored, static_cast<int64_t>(entry.stored_length), raw.data(), raw_length)) {
    throw_corrupt(column.id, "does not decompress");
  }
  loaded.buffer = raw.freeze();
  return loaded;
}

void LogBatch::mark_verified(uint32_t buffer, Verify verify) const {
  if (verify == Verify::kNever || verified_ == nullptr || buffer >= kTrackedBuffers) return;
  const uint64_t bit = uint64_t{1} << buffer;
  if ((verified_->load(std::memory_order_relaxed) & bit) != 0) return;
  verified_->fetch_or(bit, std::memory_order_release);
}

Array LogBatch::load_plain(const ColumnEntry& column, const DataType& type, int64_t length,
                           uint32_t first_buffer, Verify verify) const {
  Array array;
  array.type = type;
  array.length = length;
  uint32_t values_buffer = first_buffer;
  if (type.is_var_binary()) {
    ++values_buffer;
    Loaded offsets = load(column, first_buffer, verify);
    const auto byte_count = static_cast<int64_t>(buffers_[values_buffer].raw_length);
    if (offsets.is_unchecked &&
        !are_sound_offsets(offsets.buffer.as<int32_t>(), length, byte_count)) {
      throw_corrupt(column.id, "has offsets outside its bytes");
    }
    mark_verified(first_buffer, verify);
    array.offsets = std::move(offsets.buffer);
  }
  array.values = load(column, values_buffer, verify).buffer;
  mark_verified(values_buffer, verify);
  return array;
}

Array LogBatch::load_encoded(const ColumnEntry& column, const DataType& type, uint32_t first_buffer,
                             Verify verify) const {
  Array array;
  array.type = type;
  array.length = record_count();
  Loaded codes = load(column, first_buffer, verify);
  if (codes.is_unchecked &&
      !are_sound_codes(codes.buffer.as<int32_t>(), array.length, column.dictionary_length)) {
    throw_corrupt(column.id, "has codes outside its dictionary");
  }
  mark_verified(first_buffer, verify);
  array.values = std::move(codes.buffer);
  DataType entry_type = type;
  entry_type.is_dictionary = false;
  array.dictionary = std::make_shared<const Array>(
      load_plain(column, entry_type, column.dictionary_length, first_buffer + 1, verify));
  return array;
}

Buffer LogBatch::load_validity(const ColumnEntry& column, Verify verify) const {
  Loaded validity = load(column, column.first_buffer, verify);
  if (validity.is_unchecked) {
    const int64_t valid = count_set_bits(validity.buffer.data, record_count());
    if (record_count() - valid != column.null_count) {
      throw_corrupt(column.id, "has another number of nulls than it says");
    }
  }
  mark_verified(column.first_buffer, verify);
  return std::move(validity.buffer);
}

void LogBatch::throw_corrupt(uint16_t column_id, const std::string& what) const {
  const std::string name = column_id < schema_->fields.size()
                               ? "column '" + schema_->fields[column_id].name + "'"
                               : "built-in column " + std::to_string(column_id);
  throw Error(ErrorCode::kCorruptRecord,
              "the batch of offsets " + std::to_string(base_offset()) + " to " +
                  std::to_string(next_offset() - 1) + " of " + place_->topic + "-" +
                  std::to_string(place_->partition) + " is damaged: " + name + " " + what + " (" +
                  place_->path + ", position " + std::to_string(file_position_) +
                  "). Restore the file from a copy, or seek to offset " +
                  std::to_string(next_offset()) + " to read what follows.",
              {{"topic", place_->topic},
               {"partition", int64_t{place_->partition}},
               {"offset", base_offset()},
               {"next_offset", next_offset()},
               {"position", file_position_},
               {"path", place_->path}});
}

}  // namespace pystream::storage
