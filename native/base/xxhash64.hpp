#pragma once
// XXH64 with seed 0, as its specification says it (xxHash, doc/xxhash_spec.md): the same on every
// machine and in every version, for hashes that users see.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace pystream {

namespace detail {

inline constexpr uint64_t kXxPrime1 = 0x9e3779b185ebca87;
inline constexpr uint64_t kXxPrime2 = 0xc2b2ae3d27d4eb4f;
inline constexpr uint64_t kXxPrime3 = 0x165667b19e3779f9;
inline constexpr uint64_t kXxPrime4 = 0x85ebca77c2b2ae63;
inline constexpr uint64_t kXxPrime5 = 0x27d4eb2f165667c5;

inline uint64_t xx_round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kXxPrime2, 31) * kXxPrime1;
}

}  // namespace detail

inline uint64_t xxhash64(std::string_view bytes) {
  using namespace detail;  // NOLINT: the primes
  const char* at = bytes.data();
  size_t left = bytes.size();
  const auto word64 = [](const char* from) {
    uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  };
  uint64_t hash = kXxPrime5;
  if (left >= 32) {
    uint64_t lanes[4] = {kXxPrime1 + kXxPrime2, kXxPrime2, 0, uint64_t{0} - kXxPrime1};
    for (; left >= 32; left -= 32, at += 32) {
      for (int i = 0; i < 4; ++i) lanes[i] = xx_round(lanes[i], word64(at + i * 8));
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
           std::rotl(lanes[3], 18);
    for (const uint64_t lane : lanes) hash = (hash ^ xx_round(0, lane)) * kXxPrime1 + kXxPrime4;
  }
  hash += bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    hash = std::rotl(hash ^ xx_round(0, word64(at)), 27) * kXxPrime1 + kXxPrime4;
  }
  if (left >= 4) {
    uint32_t word;
    std::memcpy(&word, at, sizeof word);
    hash = std::rotl(hash ^ word * kXxPrime1, 23) * kXxPrime2 + kXxPrime3;
    left -= 4;
    at += 4;
  }
  for (; left > 0; --left, ++at) {
    hash = std::rotl(hash ^ static_cast<uint8_t>(*at) * kXxPrime5, 11) * kXxPrime1;
  }
  hash = (hash ^ hash >> 33) * kXxPrime2;
  hash = (hash ^ hash >> 29) * kXxPrime3;
  return hash ^ hash >> 32;
}

}  // namespace pystream
