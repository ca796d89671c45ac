#include "columns/bitmap.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace pystream {

namespace {

uint64_t load_word(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// The `count` bits (1..64) at bit `begin`; reads no byte that holds none of them.
uint64_t load_bits(const uint8_t* bits, int64_t begin, int64_t count) {
  const uint8_t* bytes = bits + (begin >> 3);
  const int shift = static_cast<int>(begin & 7);
  const int64_t needed = bitmap_bytes(shift + count);
  uint64_t word = 0;
  std::memcpy(&word, bytes, static_cast<size_t>(std::min<int64_t>(needed, 8)));
  word >>= shift;
  if (needed > 8) word |= uint64_t{bytes[8]} << (64 - shift);
  return count == 64 ? word : word & ((uint64_t{1} << count) - 1);
}

}  // namespace

int64_t count_set_bits(const uint8_t* bits, int64_t length) {
  int64_t ones = 0;
  int64_t i = 0;
  for (; i + 64 <= length; i += 64) ones += std::popcount(load_word(bits + (i >> 3)));
  if (i < length) ones += std::popcount(load_bits(bits, i, length - i));
  return ones;
}

void copy_bits(const uint8_t* source, int64_t begin, int64_t length, uint8_t* target) {
  if (length <= 0) return;
  if ((begin & 7) == 0) {
    const int64_t bytes = bitmap_bytes(length);
    std::memcpy(target, source + (begin >> 3), static_cast<size_t>(bytes));
    const int unused = static_cast<int>(bytes * 8 - length);
    target[bytes - 1] = static_cast<uint8_t>(target[bytes - 1] & (0xFF >> unused));
    return;
  }
  for (int64_t i = 0; i < length; i += 64) {
    const int64_t count = std::min<int64_t>(64, length - i);
    const uint64_t word = load_bits(source, begin + i, count);
    std::memcpy(target + (i >> 3), &word, static_cast<size_t>(bitmap_bytes(count)));
  }
}

void or_bits(const uint8_t* source, int64_t begin, int64_t length, uint8_t* target,
             int64_t target_begin) {
  if (length <= 0) return;
  if ((target_begin & 7) == 0) {
    copy_bits(source, begin, length, target + (target_begin >> 3));
    return;
  }
  // Fill up the target's first byte, then the rest is byte-aligned there.
  const int64_t head = std::min<int64_t>(length, 8 - (target_begin & 7));
  const uint64_t first = load_bits(source, begin, head) << (target_begin & 7);
  uint8_t* byte = target + (target_begin >> 3);
  *byte = static_cast<uint8_t>(*byte | first);
  copy_bits(source, begin + head, length - head, byte + 1);
}

void fill_bits(uint8_t* bits, int64_t begin, int64_t length) {
  int64_t i = begin;
  const int64_t end = begin + length;
  for (; i < end && (i & 7) != 0; ++i) set_bit(bits, i);
  const int64_t whole = (end - i) / 8;
  if (whole > 0) std::memset(bits + (i >> 3), 0xFF, static_cast<size_t>(whole));
  for (i += whole * 8; i < end; ++i) set_bit(bits, i);
}

int64_t find_clear_bit(const uint8_t* bits, int64_t length) {
  for (int64_t i = 0; i < length; i += 64) {
    const int64_t count = std::min<int64_t>(64, length - i);
    const int64_t ones = std::countr_one(load_bits(bits, i, count));
    if (ones < count) return i + ones;
  }
  return -1;
}

}  // namespace pystream
