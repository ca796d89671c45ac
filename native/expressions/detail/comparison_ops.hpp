#pragma once
// Comparisons of one pair of values, exact also between different number types, and the loop that
// packs 64 of them into a word.

#include <cmath>
#include <concepts>
#include <cstdint>
#include <utility>

#include "expressions/detail/bitmap_words.hpp"

namespace pystream::expressions::detail {

// -1, 0 or 1 as a is below, equal to or above b; b is not NaN. Converting a to double would round
// it above 2^53.
template <typename Integer>
int compare_exactly(Integer a, double b) {
  constexpr double kBeyond = std::same_as<Integer, uint64_t> ? 0x1p64 : 0x1p63;
  if (b >= kBeyond) return -1;
  if (b < (std::same_as<Integer, uint64_t> ? 0.0 : -0x1p63)) return 1;
  const auto whole = static_cast<Integer>(b);
  if (a != whole) return a < whole ? -1 : 1;
  const double fraction = b - static_cast<double>(whole);
  return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

struct Equal {
  template <typename T>
  static bool apply(T a, T b) {
    return a == b;
  }
  static bool apply(int64_t a, uint64_t b) { return std::cmp_equal(a, b); }
  template <std::integral A>
  static bool apply(A a, double b) {
    return !std::isnan(b) && compare_exactly(a, b) == 0;
  }
};

struct NotEqual {
  template <typename A, typename B>
  static bool apply(A a, B b) {
    return !Equal::apply(a, b);
  }
};

struct Less {
  template <typename T>
  static bool apply(T a, T b) {
    return a < b;
  }
  static bool apply(int64_t a, uint64_t b) { return std::cmp_less(a, b); }
  template <std::integral A>
  static bool apply(A a, double b) {
    return !std::isnan(b) && compare_exactly(a, b) < 0;
  }
};

struct LessEqual {
  template <typename T>
  static bool apply(T a, T b) {
    return a <= b;
  }
  static bool apply(int64_t a, uint64_t b) { return std::cmp_less_equal(a, b); }
  template <std::integral A>
  static bool apply(A a, double b) {
    return !std::isnan(b) && compare_exactly(a, b) <= 0;
  }
};

struct Greater {
  template <typename T>
  static bool apply(T a, T b) {
    return a > b;
  }
  static bool apply(int64_t a, uint64_t b) { return std::cmp_greater(a, b); }
  template <std::integral A>
  static bool apply(A a, double b) {
    return !std::isnan(b) && compare_exactly(a, b) > 0;
  }
};

struct GreaterEqual {
  template <typename T>
  static bool apply(T a, T b) {
    return a >= b;
  }
  static bool apply(int64_t a, uint64_t b) { return std::cmp_greater_equal(a, b); }
  template <std::integral A>
  static bool apply(A a, double b) {
    return !std::isnan(b) && compare_exactly(a, b) >= 0;
  }
};

// Bit i of `out` is Op(left[i], right[i]). `out` has room for whole words.
template <typename Op, typename L, typename R>
void compare_loop(L left, R right, int64_t rows, uint64_t* __restrict out) {
  uint8_t truth[64];
  int64_t i = 0;
  for (; i + 64 <= rows; i += 64) {
    for (int64_t j = 0; j < 64; ++j) truth[j] = Op::apply(left[i + j], right[i + j]);
    out[i / 64] = pack_bytes(truth);
  }
  if (i == rows) return;
  std::memset(truth, 0, sizeof(truth));
  for (int64_t j = 0; i + j < rows; ++j) truth[j] = Op::apply(left[i + j], right[i + j]);
  out[i / 64] = pack_bytes(truth);
}

}  // namespace pystream::expressions::detail
