#pragma once
// A fast 64-bit mixing hash for tables in memory. Not stable: never written to disk and never
// compared between builds. Where others must agree on the value (partitioning), use murmur2.

#include <cstdint>
#include <cstring>
#include <string_view>

namespace pystream {

namespace detail {

inline constexpr uint64_t kHashA = 0x9e3779b97f4a7c15;  // odd, about half of the bits set
inline constexpr uint64_t kHashB = 0xd6e8feb86659fd93;
inline constexpr uint64_t kHashC = 0xa0761d6478bd642f;

// The 128-bit product folded to 64 bits: every input bit reaches every output bit.
inline uint64_t fold_multiply(uint64_t left, uint64_t right) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(left) * right;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t load_u64(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

inline uint64_t load_u32(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

}  // namespace detail

// Hash of a 64-bit value; all bits of the result are usable.
inline uint64_t hash_u64(uint64_t value) {
  return detail::fold_multiply(value ^ detail::kHashA, detail::kHashB);
}

// Joins the hash of one more column to the hash of those before it; order matters.
inline uint64_t hash_combine(uint64_t seed, uint64_t hash) {
  return detail::fold_multiply(seed ^ detail::kHashC, hash ^ detail::kHashA);
}

inline uint64_t hash_bytes(const void* data, size_t length) {
  using detail::fold_multiply;
  const auto* at = static_cast<const uint8_t*>(data);
  // Multiplied, so that another length cannot be undone by another byte.
  uint64_t seed = detail::kHashC ^ (length * detail::kHashB);
  if (length <= 16) {
    // Two loads that together cover every byte, overlapping where the length is odd.
    uint64_t low = 0;
    uint64_t high = 0;
    if (length >= 8) {
      low = detail::load_u64(at);
      high = detail::load_u64(at + length - 8);
    } else if (length >= 4) {
      low = detail::load_u32(at);
      high = detail::load_u32(at + length - 4);
    } else if (length > 0) {
      low = (uint64_t{at[0]} << 16) | (uint64_t{at[length >> 1]} << 8) | at[length - 1];
    }
    return fold_multiply(fold_multiply(low ^ detail::kHashA, high ^ seed), detail::kHashB);
  }
  size_t left = length;
  for (; left > 16; left -= 16, at += 16) {
    seed = fold_multiply(detail::load_u64(at) ^ detail::kHashA, detail::load_u64(at + 8) ^ seed);
  }
  // The last 16 bytes, overlapping what was read before.
  const uint64_t low = detail::load_u64(at + left - 16);
  const uint64_t high = detail::load_u64(at + left - 8);
  return fold_multiply(fold_multiply(low ^ detail::kHashA, high ^ seed), detail::kHashB);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  return hash_bytes(bytes.data(), bytes.size());
}

}  // namespace pystream
