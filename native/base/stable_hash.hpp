#pragma once
// 64-bit hashes that never change: sketches are stored and merged with those of another build.
// Words by the finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", 2014), bytes by the 64-bit MurmurHash2 (Appleby, public domain).

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/hash.hpp"

namespace pystream {

inline uint64_t stable_hash_u64(uint64_t value) {
  uint64_t z = value + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline uint64_t stable_hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  uint64_t hash = bytes.size() * kMultiplier;
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = detail::load_u64(at) * kMultiplier;
    word ^= word >> kShift;
    hash = (hash ^ (word * kMultiplier)) * kMultiplier;
  }
  if (left > 0) {
    uint64_t word = 0;
    for (size_t i = 0; i < left; ++i) word |= uint64_t{at[i]} << (8 * i);
    hash = (hash ^ word) * kMultiplier;
  }
  hash = (hash ^ (hash >> kShift)) * kMultiplier;
  return hash ^ (hash >> kShift);
}

}  // namespace pystream
