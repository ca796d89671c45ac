#include "base/lz4.hpp"

#include <lz4.h>

#include <cassert>
#include <limits>

namespace pystream {

static_assert(kLz4MaxInput == LZ4_MAX_INPUT_SIZE);

int64_t lz4_compress(const uint8_t* source, int64_t length, uint8_t* target, int64_t capacity) {
  assert(length >= 0 && capacity >= 0);
  if (length > kLz4MaxInput) return 0;
  const int64_t room = capacity < kLz4MaxInput ? capacity : kLz4MaxInput;
  return LZ4_compress_default(reinterpret_cast<const char*>(source),
                              reinterpret_cast<char*>(target), static_cast<int>(length),
                              static_cast<int>(room));
}

bool lz4_decompress(const uint8_t* source, int64_t length, uint8_t* target, int64_t raw_length) {
  constexpr int64_t kLimit = std::numeric_limits<int>::max();
  if (length < 0 || length > kLimit || raw_length < 0 || raw_length > kLimit) return false;
  return LZ4_decompress_safe(reinterpret_cast<const char*>(source), reinterpret_cast<char*>(target),
                             static_cast<int>(length), static_cast<int>(raw_length)) == raw_length;
}

}  // namespace pystream
