#include "windows/slot_values.hpp"

#include <cstring>
#include <string>
#include <string_view>

#include "columns/builder.hpp"
#include "windows/accumulator_values.hpp"

namespace pystream::windows {

namespace {

constexpr int64_t kDecimalBytes = 16;

// Validity and null count out of bytes.
void set_validity(std::span<const uint8_t> is_valid, Array* array) {
  BitmapBuilder bits;
  for (const uint8_t valid : is_valid) bits.append(valid != 0);
  array->null_count = bits.length() - bits.ones();
  if (array->null_count > 0) array->validity = bits.finish();
}

template <typename T>
Buffer low_bits(const state::LargeArray<uint64_t>& words, std::span<const uint32_t> slots) {
  MutableBuffer values(static_cast<int64_t>(slots.size() * sizeof(T)));
  T* out = values.as<T>();
  for (size_t i = 0; i < slots.size(); ++i) out[i] = static_cast<T>(words[slots[i]]);
  return values.freeze();
}

}  // namespace

SlotValues::SlotValues(const DataType& type)
    : is_bytes_(type.is_var_binary() || type.id == TypeId::kDecimal128) {}

void SlotValues::resize(int64_t slots) {
  if (is_bytes_) {
    texts_.resize(slots);
    return;
  }
  const int64_t before = words_.size();
  words_.resize(slots);
  for (int64_t slot = before; slot < slots; ++slot) words_[slot] = 0;
}

template <typename Read>
void SlotValues::set_words(const Array& column, const int32_t* rows, const uint32_t* slots,
                           int64_t count, Read read) {
  uint64_t* words = words_.data();
  if (column.is_encoded()) {
    const int32_t* codes = column.codes();
    for (int64_t i = 0; i < count; ++i) words[slots[i]] = read(codes[rows[i]]);
  } else {
    for (int64_t i = 0; i < count; ++i) words[slots[i]] = read(rows[i]);
  }
}

void SlotValues::set(const Array& column, const int32_t* rows, const uint32_t* slots,
                     int64_t count) {
  const Array& plain = column.is_encoded() ? *column.dictionary : column;
  if (is_bytes_) {
    const bool is_text = plain.type.is_var_binary();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = column.is_encoded() ? column.codes()[rows[i]] : rows[i];
      const std::string_view value =
          is_text ? plain.view(at)
                  : std::string_view(plain.data<char>() + kDecimalBytes * at, kDecimalBytes);
      texts_.assign(slots[i], value.data(), static_cast<int64_t>(value.size()));
    }
    return;
  }
  const uint8_t* data = plain.values.data;
  const auto load_as = [&](auto zero) {
    using T = decltype(zero);
    set_words(column, rows, slots, count, [data](int64_t at) {
      return static_cast<uint64_t>(load<T>(data + at * static_cast<int64_t>(sizeof(T))));
    });
  };
  if (plain.type.is_bool()) {
    set_words(column, rows, slots, count,
              [data](int64_t at) { return static_cast<uint64_t>(get_bit(data, at)); });
    return;
  }
  switch (plain.type.byte_width()) {
    case 1:
      return load_as(uint8_t{});
    case 2:
      return load_as(uint16_t{});
    case 4:
      return load_as(uint32_t{});
    default:
      return load_as(uint64_t{});
  }
}

void SlotValues::copy(uint32_t slot, const SlotValues& from, uint32_t from_slot) {
  if (!is_bytes_) {
    words_[slot] = from.words_[from_slot];
    return;
  }
  const auto size = from.texts_.size(from_slot);
  texts_.reserve(slot, size);  // moves runs, so `from` is asked for its data behind it
  if (size > 0) {
    std::memcpy(texts_.data(slot), from.texts_.data(from_slot), static_cast<size_t>(size));
  }
  texts_.set_size(slot, size);
}

void SlotValues::clear(uint32_t slot) {
  if (is_bytes_) texts_.clear(slot);
}

Array SlotValues::gather(const DataType& type, std::span<const uint32_t> slots,
                         std::span<const uint8_t> is_valid) const {
  if (type.is_var_binary()) {
    VarBinaryBuilder builder(type);
    for (size_t i = 0; i < slots.size(); ++i) {
      if (is_valid[i] != 0) {
        builder.append({texts_.data(slots[i]), static_cast<size_t>(texts_.size(slots[i]))});
      } else {
        builder.append_null();
      }
    }
    return builder.finish();
  }
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(slots.size());
  if (type.is_bool()) {
    BitmapBuilder bits;
    for (const uint32_t slot : slots) bits.append(words_[slot] != 0);
    array.values = bits.finish();
  } else if (is_bytes_) {
    MutableBuffer values(array.length * kDecimalBytes);
    for (size_t i = 0; i < slots.size(); ++i) {
      uint8_t* out = values.data() + kDecimalBytes * static_cast<int64_t>(i);
      std::memset(out, 0, kDecimalBytes);
      if (is_valid[i] != 0) std::memcpy(out, texts_.data(slots[i]), kDecimalBytes);
    }
    array.values = values.freeze();
  } else {
    switch (type.byte_width()) {
      case 1:
        array.values = low_bits<uint8_t>(words_, slots);
        break;
      case 2:
        array.values = low_bits<uint16_t>(words_, slots);
        break;
      case 4:
        array.values = low_bits<uint32_t>(words_, slots);
        break;
      default:
        array.values = low_bits<uint64_t>(words_, slots);
    }
  }
  set_validity(is_valid, &array);
  return array;
}

}  // namespace pystream::windows
