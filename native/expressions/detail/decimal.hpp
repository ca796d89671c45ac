#pragma once
// Decimals as unscaled integers of at most 38 digits. Every function gives nothing where the exact
// result, or the rounded one where it rounds, has more.

#include <cstdint>
#include <optional>
#include <string_view>

#include "columns/data_type.hpp"

namespace pystream::expressions::detail {

inline constexpr int kMaxDecimalDigits = 38;

// 10^n, 0 <= n <= 38.
__int128 power_of_ten(int n);

// value * 10^n, exactly.
std::optional<__int128> scaled_up(__int128 value, int n);

// value / 10^n, ties away from zero, as SQL has it.
__int128 scaled_down(__int128 value, int n);

// The same number at another scale; rounds where that is less.
std::optional<__int128> rescaled(__int128 value, int from, int to);

// a * 10^n / b, ties away from zero; b is not zero, n not negative.
std::optional<__int128> divided(__int128 a, __int128 b, int n);

// What a whole text says: digits with an optional sign, point and exponent, as Python writes
// numbers; rounded to `scale`, ties away from zero.
std::optional<__int128> parse_decimal(std::string_view text, int scale);

// Whether a type of so many digits holds it.
inline bool has_digits(__int128 value, int digits) {
  const __int128 limit = power_of_ten(digits);
  return -limit < value && value < limit;
}

DataType decimal_type(int precision, int scale);

}  // namespace pystream::expressions::detail
