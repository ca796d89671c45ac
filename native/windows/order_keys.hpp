#pragma once
// Values as keys of one order, in which the least is the best: of the greatest values when `is_max`
// is set, else of the least. NaN is behind all else in both; -0.0 is 0.0. int64_t holds the keys of
// all values but decimals.

#include <bit>
#include <cstdint>
#include <limits>

namespace pystream::windows {

// Behind every number, in either direction.
inline constexpr int64_t kNaNKey = INT64_MAX;

inline int64_t key_of(int64_t value, bool is_max) { return is_max ? ~value : value; }

inline int64_t key_of(uint64_t value, bool is_max) {
  return key_of(static_cast<int64_t>(value ^ (uint64_t{1} << 63)), is_max);
}

inline int64_t key_of(double value, bool is_max) {
  if (value != value) return kNaNKey;
  const auto bits = std::bit_cast<int64_t>(value + 0.0);  // -0.0 is 0.0
  return key_of(bits ^ ((bits >> 63) & INT64_MAX), is_max);
}

inline __int128 key_of(__int128 value, bool is_max) { return is_max ? ~value : value; }

// The value of a key; zeros come out as 0.0.
template <typename V>
V value_of_key(int64_t key, bool is_max);

template <>
inline int64_t value_of_key<int64_t>(int64_t key, bool is_max) {
  return is_max ? ~key : key;
}

template <>
inline uint64_t value_of_key<uint64_t>(int64_t key, bool is_max) {
  return static_cast<uint64_t>(is_max ? ~key : key) ^ (uint64_t{1} << 63);
}

template <>
inline double value_of_key<double>(int64_t key, bool is_max) {
  if (key == kNaNKey) return std::numeric_limits<double>::quiet_NaN();
  const int64_t ordered = is_max ? ~key : key;
  return std::bit_cast<double>(ordered ^ ((ordered >> 63) & INT64_MAX));
}

}  // namespace pystream::windows
