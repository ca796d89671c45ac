#pragma once
// One column of a batch, opened for reading single values: the type is looked at once per batch.

#include <cstdint>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/record_batch.hpp"

namespace pystream::python {

// How a value is read. Types without a kind of their own are left to Python (kOther).
enum ReadKind : int {
  kReadBool,
  kReadInt8,
  kReadInt16,
  kReadInt32,
  kReadInt64,
  kReadUInt8,
  kReadUInt16,
  kReadUInt32,
  kReadUInt64,
  kReadFloat32,
  kReadFloat64,
  kReadString,
  kReadBinary,
  kReadEncoded,  // dictionary codes, whatever the entries are
  kReadOther,
};

inline ReadKind read_kind(const Array& array) {
  if (array.is_encoded()) return kReadEncoded;
  switch (array.type.id) {
    case TypeId::kBool:
      return kReadBool;
    case TypeId::kInt8:
      return kReadInt8;
    case TypeId::kInt16:
      return kReadInt16;
    case TypeId::kInt32:
      return kReadInt32;
    case TypeId::kInt64:
      return kReadInt64;
    case TypeId::kUInt8:
      return kReadUInt8;
    case TypeId::kUInt16:
      return kReadUInt16;
    case TypeId::kUInt32:
      return kReadUInt32;
    case TypeId::kUInt64:
      return kReadUInt64;
    case TypeId::kFloat32:
      return kReadFloat32;
    case TypeId::kFloat64:
      return kReadFloat64;
    case TypeId::kString:
      return kReadString;
    case TypeId::kBinary:
      return kReadBinary;
    default:
      return kReadOther;
  }
}

// Owns a share of the column's buffers, so it is valid for as long as it lives.
struct ColumnReader {
  explicit ColumnReader(const RecordBatch& batch)
      : array(batch.columns.at(0)),
        kind(read_kind(array)),
        validity(array.null_count > 0 ? array.validity.data : nullptr),
        values(array.values.data),
        offsets(array.offsets.as<int32_t>()) {
    if (kind != kReadEncoded) return;
    const Array& entries = *array.dictionary;
    if (!entries.type.is_var_binary()) {
      // Only strings are worth a cache of entries.
      array = decode_dictionary(array);
      kind = read_kind(array);
      values = array.values.data;
      return;
    }
    entry_count = entries.length;
    entry_values = entries.values.data;
    entry_offsets = entries.offsets.as<int32_t>();
    entry_kind = read_kind(entries);
  }

  Array array;
  ReadKind kind;
  const uint8_t* validity;
  const uint8_t* values;
  const int32_t* offsets;
  // Of a dictionary-encoded string or binary column.
  int64_t entry_count = 0;
  const uint8_t* entry_values = nullptr;
  const int32_t* entry_offsets = nullptr;
  ReadKind entry_kind = kReadOther;

  bool is_null(int64_t row) const { return validity != nullptr && !get_bit(validity, row); }
  const char* bytes_at(int64_t row) const {
    return reinterpret_cast<const char*>(values) + offsets[row];
  }
  int64_t size_at(int64_t row) const { return offsets[row + 1] - offsets[row]; }
  int32_t code_at(int64_t row) const { return reinterpret_cast<const int32_t*>(values)[row]; }
  const char* entry_bytes(int32_t code) const {
    return reinterpret_cast<const char*>(entry_values) + entry_offsets[code];
  }
  int64_t entry_size(int32_t code) const { return entry_offsets[code + 1] - entry_offsets[code]; }
};

}  // namespace pystream::python
