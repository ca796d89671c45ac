#include "state/key_words.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace pystream::state {

namespace {

template <typename T>
uint64_t to_word(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    const double wide = value;
    if (wide != wide) return std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN());
    return std::bit_cast<uint64_t>(wide + 0.0);  // -0.0 becomes 0.0
  } else {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
}

template <typename T>
T from_word(uint64_t word) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(std::bit_cast<double>(word));
  } else {
    return static_cast<T>(word);
  }
}

// Calls `body` with a zero of the C++ type that holds one value of `type`.
template <typename Body>
void with_word_type(const DataType& type, Body body) {
  switch (type.id) {
    case TypeId::kInt8:
      return body(int8_t{});
    case TypeId::kInt16:
      return body(int16_t{});
    case TypeId::kInt32:
    case TypeId::kDate32:
      return body(int32_t{});
    case TypeId::kUInt8:
      return body(uint8_t{});
    case TypeId::kUInt16:
      return body(uint16_t{});
    case TypeId::kUInt32:
      return body(uint32_t{});
    case TypeId::kFloat32:
      return body(float{});
    case TypeId::kFloat64:
      return body(double{});
    case TypeId::kUInt64:
      return body(uint64_t{});
    default:
      return body(int64_t{});
  }
}

// Null wherever an id is 0; nothing when no id is.
void set_validity(std::span<const uint32_t> ids, Array* array) {
  int64_t nulls = 0;
  for (const uint32_t id : ids) nulls += id == 0;
  if (nulls == 0) return;
  MutableBuffer bits(bitmap_bytes(array->length));
  std::memset(bits.data(), 0, static_cast<size_t>(bits.size()));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != 0) set_bit(bits.data(), static_cast<int64_t>(i));
  }
  array->null_count = nulls;
  array->validity = bits.freeze();
}

// Readers of a declared dictionary type expect codes. Each key occurs once per window, so the codes
// just count up.
Array as_declared(Array plain) {
  if (!plain.type.is_dictionary) return plain;
  Array encoded;
  encoded.type = plain.type;
  encoded.length = plain.length;
  encoded.null_count = std::exchange(plain.null_count, 0);
  encoded.validity = std::exchange(plain.validity, Buffer{});
  MutableBuffer codes(plain.length * static_cast<int64_t>(sizeof(int32_t)));
  std::iota(codes.as<int32_t>(), codes.as<int32_t>() + plain.length, 0);
  encoded.values = codes.freeze();
  plain.type.is_dictionary = false;
  encoded.dictionary = std::make_shared<const Array>(std::move(plain));
  return encoded;
}

}  // namespace

const uint64_t* words_in_place(const Array& column, bool all_rows) {
  const bool is_word =
      !column.type.is_bool() && column.type.byte_width() == 8 && !column.type.is_floating();
  return all_rows && is_word ? column.data<uint64_t>() : nullptr;
}

void collect_words(const Array& column, std::span<const int32_t> rows, bool all_rows,
                   std::vector<uint64_t>* out) {
  const auto count = all_rows ? static_cast<size_t>(column.length) : rows.size();
  out->resize(count);
  uint64_t* words = out->data();
  if (column.type.is_bool()) {
    for (size_t i = 0; i < count; ++i) {
      words[i] = get_bit(column.values.data, all_rows ? static_cast<int64_t>(i) : rows[i]);
    }
    return;
  }
  with_word_type(column.type, [&](auto zero) {
    using T = decltype(zero);
    const T* values = column.data<T>();
    if (all_rows) {
      for (size_t i = 0; i < count; ++i) words[i] = to_word(values[i]);
    } else {
      for (size_t i = 0; i < count; ++i) words[i] = to_word(values[rows[i]]);
    }
  });
}

void collect_strings(const Array& column, std::span<const int32_t> rows, bool all_rows,
                     std::vector<std::string_view>* out) {
  const auto count = all_rows ? static_cast<size_t>(column.length) : rows.size();
  out->resize(count);
  const bool is_decimal = column.type.id == TypeId::kDecimal128;
  for (size_t i = 0; i < count; ++i) {
    const int64_t row = all_rows ? static_cast<int64_t>(i) : rows[i];
    (*out)[i] =
        is_decimal ? std::string_view(column.data<char>() + 16 * row, 16) : column.view(row);
  }
}

Array array_of_words(const DataType& type, const WordTable& table, std::span<const uint32_t> ids) {
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(ids.size());
  const uint64_t* keys = table.keys();
  if (type.is_bool()) {
    MutableBuffer bits(bitmap_bytes(array.length));
    if (!ids.empty()) std::memset(bits.data(), 0, static_cast<size_t>(bits.size()));
    for (size_t i = 0; i < ids.size(); ++i) {
      if (keys[ids[i]] != 0) set_bit(bits.data(), static_cast<int64_t>(i));
    }
    array.values = bits.freeze();
  } else {
    MutableBuffer values(array.length * type.byte_width());
    with_word_type(type, [&](auto zero) {
      using T = decltype(zero);
      T* out = values.as<T>();
      for (size_t i = 0; i < ids.size(); ++i) out[i] = from_word<T>(keys[ids[i]]);
    });
    array.values = values.freeze();
  }
  set_validity(ids, &array);
  return array;
}

Array array_of_strings(const DataType& type, const BytesTable& table,
                       std::span<const uint32_t> ids) {
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(ids.size());
  if (type.id == TypeId::kDecimal128) {
    MutableBuffer values(array.length * 16);
    for (size_t i = 0; i < ids.size(); ++i) {
      char* out = values.as<char>() + 16 * i;
      if (ids[i] == 0) {
        std::memset(out, 0, 16);
      } else {
        std::memcpy(out, table[ids[i]].data(), 16);
      }
    }
    array.values = values.freeze();
    set_validity(ids, &array);
    return array;
  }
  int64_t total = 0;
  for (const uint32_t id : ids) total += id == 0 ? 0 : static_cast<int64_t>(table[id].size());
  if (total > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorCode::kRecordTooLarge,
                "the keys of one result batch hold " + std::to_string(total) +
                    " bytes; a column holds at most 2147483647. Use shorter keys.");
  }
  MutableBuffer offsets((array.length + 1) * static_cast<int64_t>(sizeof(int32_t)));
  MutableBuffer bytes(total);
  auto* ends = offsets.as<int32_t>();
  int32_t at = 0;
  ends[0] = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != 0) {
      const std::string_view string = table[ids[i]];
      if (!string.empty()) std::memcpy(bytes.as<char>() + at, string.data(), string.size());
      at += static_cast<int32_t>(string.size());
    }
    ends[i + 1] = at;
  }
  array.offsets = offsets.freeze();
  array.values = bytes.freeze();
  set_validity(ids, &array);
  return as_declared(std::move(array));
}

}  // namespace pystream::state
