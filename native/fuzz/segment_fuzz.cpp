// Arbitrary bytes as stored batches: parse what is there, read every column in every way, touch
// every value. Nothing may be read outside the input, whatever it says.
//
// Random bytes never pass a checksum, so checksums are put right first, where the tables they
// stand in can be found: what lies behind them must hold on its own.

#include <sanitizer/asan_interface.h>

#include <cstring>
#include <string_view>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "storage/header_crc.hpp"
#include "storage/log_batch.hpp"
#include "storage/producer_state.hpp"

namespace pystream::storage {
namespace {

constexpr uint64_t kSalt = 0x123456789abcdef0;
constexpr int64_t kPosition = 8192;

// Tables that lie within the bytes, found without the parser.
struct Tables {
  BatchHeader header;
  ColumnEntry* columns;
  BufferEntry* buffers;
};

bool find_tables(uint8_t* data, size_t size, Tables* out) {
  if (size < sizeof(BatchHeader)) return false;
  std::memcpy(&out->header, data, sizeof(BatchHeader));
  const size_t length = sizeof(BatchHeader) + out->header.column_count * sizeof(ColumnEntry) +
                        size_t{out->header.buffer_count} * sizeof(BufferEntry);
  if (out->header.header_length != length || length > size) return false;
  out->columns = reinterpret_cast<ColumnEntry*>(data + sizeof(BatchHeader));
  out->buffers = reinterpret_cast<BufferEntry*>(out->columns + out->header.column_count);
  return true;
}

void put_checksums_right(uint8_t* data, size_t size, const Tables& tables) {
  for (uint32_t i = 0; i < tables.header.buffer_count; ++i) {
    BufferEntry& buffer = tables.buffers[i];
    if (buffer.offset > size || buffer.stored_length > size - buffer.offset) continue;
    buffer.crc = crc32c(0, data + buffer.offset, buffer.stored_length);
  }
  const uint32_t crc = header_crc(data, tables.header.header_length, kSalt, kPosition);
  std::memcpy(data + offsetof(BatchHeader, header_crc), &crc, sizeof(crc));
}

// A schema that agrees with the column entries; what they leave open alternates.
SchemaPtr schema_of(const ParsedHeader& parsed) {
  auto schema = std::make_shared<Schema>();
  for (uint32_t i = 0; i < parsed.header.column_count; ++i) {
    const ColumnEntry& column = parsed.columns[i];
    if (column.id >= kFirstBuiltinColumn || column.id > 200) break;
    while (schema->fields.size() <= column.id) schema->fields.push_back({"missing", {}, true});
    DataType& type = schema->fields[column.id].type;
    type = DataType::of(static_cast<TypeId>(column.type));
    type.is_dictionary = type.id == TypeId::kString && column.id % 2 == 1;
  }
  schema->fields.push_back({"newer", DataType::of(TypeId::kString), true});
  return schema;
}

// As if each byte were read: the address sanitizer is asked whether it may be, and reports the
// first that may not. Both ends are read, which memory that is not there does not survive.
uint64_t touch(const uint8_t* data, int64_t bytes) {
  if (bytes == 0) return 0;
  const volatile uint8_t* begin = data;
  auto* range = const_cast<uint8_t*>(data);
  const void* forbidden = __asan_region_is_poisoned(range, static_cast<size_t>(bytes));
  if (forbidden != nullptr) return *static_cast<const volatile uint8_t*>(forbidden);
  return uint64_t{begin[0]} + begin[bytes - 1];
}

__attribute__((no_sanitize("coverage"))) uint64_t touch(const Array& array) {
  uint64_t sum = 0;
  if (array.null_count != 0) {
    sum += touch(array.validity.data, bitmap_bytes(array.length));
    sum += array.length > 0 && array.is_valid(array.length - 1) ? 1 : 0;
  }
  const Array plain = decode_dictionary(array);
  if (plain.type.is_var_binary()) {
    for (int64_t i = 0; i < plain.length; ++i) {
      const std::string_view value = plain.view(i);
      sum +=
          touch(reinterpret_cast<const uint8_t*>(value.data()), static_cast<int64_t>(value.size()));
    }
  } else {
    sum += touch(plain.values.data, plain.type.is_bool() ? bitmap_bytes(plain.length)
                                                         : plain.length * plain.type.byte_width());
  }
  return sum;
}

bool has_buffers(const LogBatch& batch, uint16_t id) {
  for (const ColumnEntry& column : batch.column_entries()) {
    if (column.id == id) return column.buffer_count > 0;
  }
  return false;
}

// Where nothing is stored, nothing depends on what was verified: such columns are read once.
uint64_t read_everything(const LogBatch& batch, const ParsedHeader& parsed, Verify verify,
                         bool is_first) {
  uint64_t sum = 0;
  const auto read = [&](uint16_t id) {
    if (!is_first && !has_buffers(batch, id)) return;
    try {
      sum += touch(batch.column(id, verify));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorruptRecord) throw;
    }
    if (const auto statistics = batch.statistics(id)) sum += statistics->minimum;
  };
  for (int i = 0; i < batch.schema()->size(); ++i) read(static_cast<uint16_t>(i));
  for (const uint16_t id :
       {kTimestampColumn, kHeadersColumn, kRowKindColumn, kOffsetDeltaColumn, kSequenceColumn}) {
    read(id);
  }
  const SequenceRange sequences = SequenceRange::of(parsed);
  return sum + static_cast<uint64_t>(sequences.last + sequences.complete);
}

void parse_and_read(const uint8_t* data, size_t size) {
  ParsedHeader parsed;
  if (parse_header({data, size}, kSalt, kPosition, &parsed) != HeaderStatus::kOk) return;
  static const auto place = std::make_shared<const SegmentPlace>(SegmentPlace{"fuzz", 0, "input"});
  std::atomic<uint64_t> verified{0};
  const LogBatch batch({data, size}, parsed, nullptr, schema_of(parsed), place, kPosition,
                       &verified, nullptr);
  // Twice, for the second pass trusts what the first has verified.
  volatile uint64_t sink = read_everything(batch, parsed, Verify::kFirst, true);
  sink = sink + read_everything(batch, parsed, Verify::kFirst, false);
  sink = sink + read_everything(batch, parsed, Verify::kNever, false);
}

}  // namespace
}  // namespace pystream::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  using namespace pystream::storage;
  // A block of exactly this size: the sanitizer sees each read past its end.
  std::unique_ptr<uint8_t, void (*)(void*)> block(
      static_cast<uint8_t*>(std::malloc(size > 0 ? size : 1)), std::free);
  if (size > 0) std::memcpy(block.get(), input, size);
  parse_and_read(block.get(), size);
  Tables tables;
  if (find_tables(block.get(), size, &tables)) {
    put_checksums_right(block.get(), size, tables);
    parse_and_read(block.get(), size);
  }
  return 0;
}
