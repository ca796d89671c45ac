#pragma once
// The checksum of a batch header and its tables. Salt and position enter it, so that a sound batch
// of another file, of another place, or inside a payload is not taken for one written here.

#include <cstddef>
#include <cstdint>

#include "base/crc32c.hpp"

namespace pystream::storage {

inline constexpr size_t kHeaderCrcBegin = 8;  // magic and the checksum itself are left out

// `head` holds at least header_length bytes; header_length >= sizeof(BatchHeader).
inline uint32_t header_crc(const uint8_t* head, size_t header_length, uint64_t salt,
                           int64_t file_position) {
  const uint32_t seed = crc32c_seed(salt ^ static_cast<uint64_t>(file_position));
  return crc32c(seed, head + kHeaderCrcBegin, header_length - kHeaderCrcBegin);
}

}  // namespace pystream::storage
