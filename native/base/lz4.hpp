#pragma once
// LZ4 blocks over raw memory. Any thread; no state.

#include <cstdint>

namespace pystream {

inline constexpr int64_t kLz4MaxInput = 0x7E000000;  // LZ4_MAX_INPUT_SIZE

// A block of n bytes never decompresses to more than this many.
inline constexpr int64_t lz4_max_raw_length(int64_t stored_length) {
  return stored_length * 255 + 64;
}

// Compresses into `target`; returns the compressed length, or 0 when it does not fit `capacity`.
int64_t lz4_compress(const uint8_t* source, int64_t length, uint8_t* target, int64_t capacity);

// True when `source` is a sound block of exactly `raw_length` bytes, then in `target`. Never reads
// or writes outside either, whatever the bytes.
bool lz4_decompress(const uint8_t* source, int64_t length, uint8_t* target, int64_t raw_length);

}  // namespace pystream
