#pragma once
// MurmurHash2, 32 bits, with the seed that Kafka's default partitioner uses. Stable for ever:
// it decides the partition of a key, here and in every Kafka client
// (org.apache.kafka.common.utils.Utils.murmur2).

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pystream {

inline uint32_t murmur2(const void* data, size_t length) {
  constexpr uint32_t kSeed = 0x9747b28c;
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kShift = 24;

  const auto* at = static_cast<const uint8_t*>(data);
  uint32_t hash = kSeed ^ static_cast<uint32_t>(length);
  for (; length >= 4; length -= 4, at += 4) {
    uint32_t word;
    std::memcpy(&word, at, sizeof(word));
    word *= kMultiplier;
    word ^= word >> kShift;
    word *= kMultiplier;
    hash *= kMultiplier;
    hash ^= word;
  }
  if (length > 0) {
    uint32_t rest = 0;
    for (size_t i = 0; i < length; ++i) rest |= uint32_t{at[i]} << (8 * i);
    hash ^= rest;
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

}  // namespace pystream
