#pragma once
// One column in Arrow layout, without libarrow. Arrays always start at row 0 of their buffers:
// slicing and import move pointers, and copy only bitmaps that are not byte-aligned. So kernels
// never handle an offset.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "columns/bitmap.hpp"
#include "columns/buffer.hpp"
#include "columns/data_type.hpp"

namespace pystream {

struct Array {
  DataType type;
  int64_t length = 0;
  int64_t null_count = 0;
  Buffer validity;  // empty when null_count == 0
  // Plain: bool bitmap or fixed-width values, or the bytes of string and binary.
  // Dictionary-encoded: int32 codes.
  Buffer values;
  // Plain string and binary, in bytes of `values`, and lists, in rows of `elements`: length + 1
  // int32, non-decreasing; not always from 0.
  Buffer offsets;
  std::shared_ptr<const Array> elements;  // lists: what is in them, one list after the other
  // Set when the column is physically dictionary-encoded, whatever the declared type: a plain
  // array of `type` without nulls; nulls stand in `validity`, and the code below a null is any
  // valid index or 0.
  std::shared_ptr<const Array> dictionary;

  bool is_encoded() const { return dictionary != nullptr; }
  bool is_valid(int64_t i) const { return null_count == 0 || get_bit(validity.data, i); }

  template <typename T>
  const T* data() const {
    return values.as<T>();
  }
  const int32_t* codes() const { return values.as<int32_t>(); }

  // Value i of a plain string or binary array; valid as long as the array's buffers.
  std::string_view view(int64_t i) const {
    const int32_t* at = offsets.as<int32_t>();
    return {values.as<char>() + at[i], static_cast<size_t>(at[i + 1] - at[i])};
  }
};

// Rows [begin, begin + length); shares buffers.
Array slice(const Array& array, int64_t begin, int64_t length);

// The same column with plain encoding; returns `array` itself (shared) when it is plain.
Array decode_dictionary(const Array& array);

// The same column with dictionary encoding, entries in order of first appearance; returns `array`
// itself (shared) when it is encoded. String and binary only.
Array encode_dictionary(const Array& array);

// Rows at `indices` in that order, each 0 <= index < length. Encoded arrays stay encoded.
Array take(const Array& array, std::span<const int32_t> indices);

// One array of all rows in order; all of one type. Result is plain unless all share one dictionary.
Array concat(std::span<const Array> arrays);

// A list<T> column of `elements`, without nulls: `offsets` are length + 1 int32 as in Array.
Array make_lists(Buffer offsets, int64_t length, Array elements);

// `length` nulls of `type`.
Array make_nulls(const DataType& type, int64_t length);

// `length` copies of a 64-bit integer-like value (int64, timestamp, duration).
Array make_constant_int64(const DataType& type, int64_t value, int64_t length);

// True when both have the same logical rows (type, nulls, values), whatever the encoding. Floats
// are compared by their bits, so NaN equals itself.
bool equal_rows(const Array& left, const Array& right);

// Bytes that the array refers to, for limits and metrics.
int64_t referenced_bytes(const Array& array);

}  // namespace pystream
