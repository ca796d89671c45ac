#include "storage/batch_assembler.hpp"

#include <cstring>
#include <utility>

#include "base/crc32c.hpp"
#include "base/lz4.hpp"
#include "storage/statistics.hpp"

namespace pystream::storage {

namespace {

// LZ4 must save at least a tenth, else the buffer stays as it is and readable without a copy.
int64_t lz4_budget(int64_t raw_length) { return raw_length - raw_length / 10; }

uint32_t checksum(const Buffer& stored) {
  return crc32c(0, stored.data, static_cast<size_t>(stored.size));
}

// The first `length` bits in their own bytes with zeros behind them; copies only where the source
// has other bits there, so that equal columns are equal bytes.
Buffer canonical_bits(const Buffer& bits, int64_t length) {
  const int64_t bytes = bitmap_bytes(length);
  const auto tail = static_cast<int>(length & 7);
  if (tail == 0 || (bits.data[bytes - 1] >> tail) == 0) return bits.slice(0, bytes);
  MutableBuffer copy(bytes);
  copy_bits(bits.data, 0, length, copy.data());
  return copy.freeze();
}

// Offsets that begin at 0.
Buffer rebased_offsets(const Array& array) {
  const int32_t* offsets = array.offsets.as<int32_t>();
  const int64_t size = (array.length + 1) * 4;
  const int32_t base = offsets[0];
  if (base == 0) return array.offsets.slice(0, size);
  MutableBuffer rebased(size);
  int32_t* out = rebased.as<int32_t>();
  for (int64_t i = 0; i <= array.length; ++i) out[i] = offsets[i] - base;
  return rebased.freeze();
}

}  // namespace

ColumnEntry* BatchAssembler::begin_column(uint16_t id, TypeId type, Encoding encoding) {
  ColumnEntry entry{};
  entry.id = id;
  entry.type = static_cast<uint8_t>(type);
  entry.encoding = encoding;
  entry.first_buffer = static_cast<uint32_t>(buffers_.size());
  columns_.push_back(entry);
  return &columns_.back();
}

void BatchAssembler::end_column() {
  ColumnEntry& entry = columns_.back();
  entry.buffer_count = static_cast<uint32_t>(buffers_.size()) - entry.first_buffer;
}

void BatchAssembler::add_buffer(BufferKind kind, bool of_dictionary, const Buffer& raw) {
  Buffer stored = compress(raw);
  const uint32_t crc = checksum(stored);
  add_stored(kind, of_dictionary, raw.size, std::move(stored), crc);
}

void BatchAssembler::add_validity(const Array& array) {
  add_buffer(BufferKind::kValidity, false, canonical_bits(array.validity, array.length));
}

void BatchAssembler::add_plain(const Array& array, bool of_dictionary, ColumnEntry* entry) {
  if (array.null_count > 0) add_validity(array);
  if (array.type.is_var_binary()) {
    const int32_t* offsets = array.offsets.as<int32_t>();
    add_buffer(BufferKind::kOffsets, of_dictionary, rebased_offsets(array));
    add_buffer(BufferKind::kValues, of_dictionary,
               array.values.slice(offsets[0], offsets[array.length] - offsets[0]));
  } else if (array.type.is_bool()) {
    add_buffer(BufferKind::kValues, of_dictionary, canonical_bits(array.values, array.length));
  } else {
    add_fixed_values(array, of_dictionary, entry);
  }
}

void BatchAssembler::add_fixed_values(const Array& array, bool of_dictionary, ColumnEntry* entry) {
  const Buffer values = array.values.slice(0, array.length * array.type.byte_width());
  if (!has_statistics(array.type.id)) {
    add_buffer(BufferKind::kValues, of_dictionary, values);
    return;
  }
  MinMax range;
  Buffer stored = compress(values);
  uint32_t crc = 0;
  if (stored.data == values.data) {
    range = min_max_and_crc(array, &crc);
  } else {
    range = min_max(array);
    crc = checksum(stored);
  }
  add_stored(BufferKind::kValues, of_dictionary, values.size, std::move(stored), crc);
  if (!range.has_value) return;
  entry->flags |= kColumnHasMinMax;
  entry->minimum = range.minimum;
  entry->maximum = range.maximum;
}

Buffer BatchAssembler::compress(const Buffer& raw) const {
  if (codec_ == Codec::kNone || raw.size == 0) return raw;
  MutableBuffer target(lz4_budget(raw.size));
  const int64_t length = lz4_compress(raw.data, raw.size, target.data(), target.size());
  if (length == 0) return raw;
  target.resize(length);
  return target.freeze();
}

void BatchAssembler::add_stored(BufferKind kind, bool of_dictionary, int64_t raw_length,
                                Buffer stored, uint32_t crc) {
  BufferEntry entry{};
  entry.stored_length = static_cast<uint64_t>(stored.size);
  entry.raw_length = static_cast<uint64_t>(raw_length);
  entry.crc = crc;
  entry.codec = stored.size == raw_length ? Codec::kNone : codec_;
  entry.kind = kind;
  entry.of_dictionary = of_dictionary ? 1 : 0;
  buffers_.push_back(entry);
  body_.push_back(std::move(stored));
}

EncodedBatch BatchAssembler::finish(BatchHeader header) {
  const size_t columns_size = columns_.size() * sizeof(ColumnEntry);
  const size_t buffers_size = buffers_.size() * sizeof(BufferEntry);
  const auto header_length = static_cast<int64_t>(sizeof(header) + columns_size + buffers_size);
  int64_t at = round_up_64(header_length);
  for (BufferEntry& entry : buffers_) {
    entry.offset = static_cast<uint64_t>(at);
    at += round_up_64(static_cast<int64_t>(entry.stored_length));
  }
  header.header_length = static_cast<uint32_t>(header_length);
  header.total_length = static_cast<uint64_t>(at);
  header.column_count = static_cast<uint16_t>(columns_.size());
  header.buffer_count = static_cast<uint16_t>(buffers_.size());

  EncodedBatch batch;
  batch.head.resize(static_cast<size_t>(round_up_64(header_length)), 0);
  uint8_t* out = batch.head.data();
  std::memcpy(out, &header, sizeof(header));
  std::memcpy(out + sizeof(header), columns_.data(), columns_size);
  if (buffers_size > 0) {
    std::memcpy(out + sizeof(header) + columns_size, buffers_.data(), buffers_size);
  }
  batch.body = std::move(body_);
  batch.total_length = at;
  batch.record_count = header.record_count;
  return batch;
}

}  // namespace pystream::storage
