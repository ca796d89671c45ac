#pragma once
// Bitmaps 64 bits at a time. Input bitmaps may have any bits after the last row, and end with
// their last byte; output bitmaps live in MutableBuffers, whose capacity is a multiple of 64 bytes.

#include <bit>
#include <cstdint>
#include <cstring>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

inline int64_t word_count(int64_t bits) { return (bits + 63) / 64; }

// Ones for the bits of word `word` that stand for rows.
inline uint64_t row_mask(int64_t word, int64_t bits) {
  const int64_t left = bits - word * 64;
  return left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
}

// Reads a bitmap of `bits` bits word by word without touching bytes after its end. A null pointer
// reads as all ones, which is what an absent validity bitmap means.
class BitmapReader {
 public:
  BitmapReader(const uint8_t* data, int64_t bits) : data_(data), bytes_(bitmap_bytes(bits)) {}
  uint64_t word(int64_t i) const {
    if (data_ == nullptr) return ~uint64_t{0};
    uint64_t value = 0;
    const int64_t left = bytes_ - i * 8;
    if (left >= 8) {
      std::memcpy(&value, data_ + i * 8, 8);
    } else {
      std::memcpy(&value, data_ + i * 8, static_cast<size_t>(left));
    }
    return value;
  }

 private:
  const uint8_t* data_;
  int64_t bytes_;
};

inline BitmapReader validity_reader(const Array& array) {
  return {array.null_count == 0 ? nullptr : array.validity.data, array.length};
}

// A bitmap and the number of its zeros; no bitmap when there are none.
struct Validity {
  Buffer bits;
  int64_t null_count = 0;
};

inline Validity validity_of(const Array& array) {
  if (array.null_count == 0) return {};
  return {array.validity, array.null_count};
}

// Rows that are valid in both. Shares the buffer of the other where one has no nulls.
Validity both_valid(const Array& left, const Array& right);

// Writes words produced by word(i) for `bits` bits; bits after the last row become zero. `ones`,
// when given, receives the number of ones.
template <typename Word>
Buffer make_bitmap(int64_t bits, Word&& word, int64_t* ones = nullptr) {
  MutableBuffer out(bitmap_bytes(bits));
  uint64_t* words = out.as<uint64_t>();
  int64_t count = 0;
  for (int64_t i = 0; i < word_count(bits); ++i) {
    const uint64_t value = word(i) & row_mask(i, bits);
    words[i] = value;
    count += std::popcount(value);
  }
  if (ones != nullptr) *ones = count;
  return out.freeze();
}

// A validity bitmap from words; dropped when all are ones.
template <typename Word>
Validity make_validity(int64_t bits, Word&& word) {
  int64_t ones = 0;
  Buffer bitmap = make_bitmap(bits, word, &ones);
  if (ones == bits) return {};
  return {std::move(bitmap), bits - ones};
}

// A bool array from its parts.
inline Array bool_array(int64_t rows, Buffer values, Validity validity) {
  Array array;
  array.type = DataType::of(TypeId::kBool);
  array.length = rows;
  array.values = std::move(values);
  array.validity = std::move(validity.bits);
  array.null_count = validity.null_count;
  return array;
}

// A bool array with one value in all rows, without allocating when there are none.
inline Array bool_array_of(bool value, int64_t rows, Validity validity) {
  const uint64_t word = value ? ~uint64_t{0} : 0;
  return bool_array(rows, make_bitmap(rows, [word](int64_t) { return word; }), std::move(validity));
}

// A fixed-width array from its parts.
inline Array fixed_array(DataType type, int64_t rows, Buffer values, Validity validity) {
  Array array;
  array.type = std::move(type);
  array.length = rows;
  array.values = std::move(values);
  array.validity = std::move(validity.bits);
  array.null_count = validity.null_count;
  return array;
}

// Bit j from byte j, each 0 or 1.
inline uint64_t pack_bytes(const uint8_t* bytes) {
  uint64_t word = 0;
  for (int group = 0; group < 8; ++group) {
    uint64_t eight;
    std::memcpy(&eight, bytes + group * 8, 8);
    // The multiplication moves byte k's bit to bit 56 + k; no two terms meet.
    word |= ((eight * 0x0102040810204080u) >> 56) << (group * 8);
  }
  return word;
}

}  // namespace pystream::expressions::detail
