#pragma once
// The arithmetic of one accumulator field, per class of values. Fields lie at any 8-byte place of a
// row, so they are read and written through memcpy.

#include <cstdint>
#include <cstring>
#include <limits>

namespace pystream::windows {

inline constexpr int kDecimalDigits = 38;

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
void store(uint8_t* at, const T& value) {
  std::memcpy(at, &value, sizeof(T));
}

// A sum of decimals: two of them may already pass 128 bits, and whether they do must not depend on
// the order in which they come.
struct Sum192 {
  unsigned __int128 low = 0;
  int64_t high = 0;

  void add(const Sum192& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
  }
  static Sum192 of(__int128 value) {
    return {static_cast<unsigned __int128>(value), value < 0 ? -1 : 0};
  }
};

// `Sum`: what a sum is held in. `kHighest` and `kLowest`: the min and max of no values.
template <typename V>
struct Accumulate;

template <>
struct Accumulate<int64_t> {
  using Sum = __int128;
  static constexpr int64_t kHighest = INT64_MAX;
  static constexpr int64_t kLowest = INT64_MIN;
};

template <>
struct Accumulate<uint64_t> {
  using Sum = __int128;
  static constexpr uint64_t kHighest = UINT64_MAX;
  static constexpr uint64_t kLowest = 0;
};

template <>
struct Accumulate<double> {
  using Sum = double;
  static constexpr double kHighest = std::numeric_limits<double>::infinity();
  static constexpr double kLowest = -std::numeric_limits<double>::infinity();
};

template <>
struct Accumulate<__int128> {
  using Sum = Sum192;
  static constexpr __int128 kLowest =
      static_cast<__int128>(static_cast<unsigned __int128>(1) << 127);
  static constexpr __int128 kHighest = ~kLowest;
};

// The sum of one value.
template <typename V>
typename Accumulate<V>::Sum sum_of(V value) {
  if constexpr (std::is_same_v<V, __int128>) {
    return Sum192::of(value);
  } else {
    return static_cast<typename Accumulate<V>::Sum>(value);
  }
}

template <typename Sum>
void add_to(Sum* sum, const Sum& other) {
  if constexpr (std::is_same_v<Sum, Sum192>) {
    sum->add(other);
  } else {
    *sum += other;
  }
}

}  // namespace pystream::windows
