#pragma once
// Arrow bitmaps: bit i of byte i / 8, least significant first; 1 means valid or true.

#include <bit>
#include <cstdint>

namespace pystream {

inline int64_t bitmap_bytes(int64_t bits) { return (bits + 7) / 8; }

inline bool get_bit(const uint8_t* bits, int64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

inline void set_bit(uint8_t* bits, int64_t i) {
  bits[i >> 3] = static_cast<uint8_t>(bits[i >> 3] | (1u << (i & 7)));
}

inline void clear_bit(uint8_t* bits, int64_t i) {
  bits[i >> 3] = static_cast<uint8_t>(bits[i >> 3] & ~(1u << (i & 7)));
}

// Number of ones among the first `length` bits.
int64_t count_set_bits(const uint8_t* bits, int64_t length);

// Copies `length` bits starting at bit `begin` of `source` to bit 0 of `target`, which has room for
// bitmap_bytes(length) bytes; the unused bits of the last byte become zero.
void copy_bits(const uint8_t* source, int64_t begin, int64_t length, uint8_t* target);

// As copy_bits, to bit `target_begin` of `target`, whose bits from there on are zero.
void or_bits(const uint8_t* source, int64_t begin, int64_t length, uint8_t* target,
             int64_t target_begin);

// Sets `length` bits from `begin` on to one.
void fill_bits(uint8_t* bits, int64_t begin, int64_t length);

// Position of the first zero among the first `length` bits, or -1.
int64_t find_clear_bit(const uint8_t* bits, int64_t length);

}  // namespace pystream
