#include "windows/load_values.hpp"

#include <cstring>
#include <type_traits>

namespace pystream::windows {

namespace {

// Where the value of each row lies: the row itself, a listed row, or the entry of its code. One
// plain loop for each, with `read` inlined.
template <typename V, typename Read>
void copy_values(const Array& column, const int32_t* indices, int64_t begin, int64_t count, V* out,
                 Read read) {
  if (column.is_encoded()) {
    const int32_t* codes = column.codes();
    if (indices == nullptr) {
      for (int64_t i = 0; i < count; ++i) out[i] = read(codes[begin + i]);
    } else {
      for (int64_t i = 0; i < count; ++i) out[i] = read(codes[indices[i]]);
    }
  } else if (indices == nullptr) {
    for (int64_t i = 0; i < count; ++i) out[i] = read(begin + i);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = read(indices[i]);
  }
}

template <typename T, typename V>
const V* widen(const Array& column, const int32_t* indices, int64_t begin, int64_t count,
               V* scratch) {
  const Array& plain = column.is_encoded() ? *column.dictionary : column;
  const T* values = plain.data<T>();
  if constexpr (std::is_same_v<T, V>) {
    if (indices == nullptr && !column.is_encoded()) return values + begin;
  }
  copy_values(column, indices, begin, count, scratch,
              [values](int64_t at) { return static_cast<V>(values[at]); });
  return scratch;
}

}  // namespace

template <>
const int64_t* load_values(const Array& column, const int32_t* indices, int64_t begin,
                           int64_t count, int64_t* scratch) {
  switch (column.type.id) {
    case TypeId::kBool: {
      const Array& plain = column.is_encoded() ? *column.dictionary : column;
      const uint8_t* bits = plain.values.data;
      copy_values(column, indices, begin, count, scratch,
                  [bits](int64_t at) { return static_cast<int64_t>(get_bit(bits, at)); });
      return scratch;
    }
    case TypeId::kInt8:
      return widen<int8_t>(column, indices, begin, count, scratch);
    case TypeId::kInt16:
      return widen<int16_t>(column, indices, begin, count, scratch);
    case TypeId::kInt32:
    case TypeId::kDate32:
      return widen<int32_t>(column, indices, begin, count, scratch);
    default:
      return widen<int64_t>(column, indices, begin, count, scratch);
  }
}

template <>
const uint64_t* load_values(const Array& column, const int32_t* indices, int64_t begin,
                            int64_t count, uint64_t* scratch) {
  switch (column.type.id) {
    case TypeId::kUInt8:
      return widen<uint8_t>(column, indices, begin, count, scratch);
    case TypeId::kUInt16:
      return widen<uint16_t>(column, indices, begin, count, scratch);
    case TypeId::kUInt32:
      return widen<uint32_t>(column, indices, begin, count, scratch);
    default:
      return widen<uint64_t>(column, indices, begin, count, scratch);
  }
}

template <>
const double* load_values(const Array& column, const int32_t* indices, int64_t begin, int64_t count,
                          double* scratch) {
  if (column.type.id == TypeId::kFloat32) {
    return widen<float>(column, indices, begin, count, scratch);
  }
  return widen<double>(column, indices, begin, count, scratch);
}

template <>
const __int128* load_values(const Array& column, const int32_t* indices, int64_t begin,
                            int64_t count, __int128* scratch) {
  // Decimals lie at any 8-byte place (imported buffers), so they are always copied.
  const Array& plain = column.is_encoded() ? *column.dictionary : column;
  const uint8_t* bytes = plain.values.data;
  copy_values(column, indices, begin, count, scratch, [bytes](int64_t at) {
    __int128 value;
    std::memcpy(&value, bytes + 16 * at, sizeof(value));
    return value;
  });
  return scratch;
}

bool has_nan(const double* values, int64_t count) {
  // A number, not a bool: this form is vectorized.
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) found += values[i] != values[i] ? 1 : 0;
  return found > 0;
}

}  // namespace pystream::windows
