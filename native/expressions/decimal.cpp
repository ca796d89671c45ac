#include "expressions/detail/decimal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "expressions/detail/numbers.hpp"

namespace pystream::expressions::detail {
namespace {

__extension__ using Magnitude = unsigned __int128;

constexpr std::array<__int128, kMaxDecimalDigits + 1> powers() {
  std::array<__int128, kMaxDecimalDigits + 1> all{};
  all[0] = 1;
  for (size_t i = 1; i < all.size(); ++i) all[i] = all[i - 1] * 10;
  return all;
}
constexpr auto kPowers = powers();

Magnitude magnitude(__int128 value) {
  return value < 0 ? Magnitude{0} - static_cast<Magnitude>(value) : static_cast<Magnitude>(value);
}

std::optional<__int128> with_sign(Magnitude value, bool is_negative) {
  if (value > static_cast<Magnitude>(kMaxDecimal)) return std::nullopt;
  const auto result = static_cast<__int128>(value);
  return is_negative ? -result : result;
}

// Digit by digit: the next one of rest * 10 / divisor, and what is left. rest < divisor < 10^38, so
// that ten times it may not fit; twice it does.
unsigned next_digit(Magnitude divisor, Magnitude* rest) {
  const auto twice = [divisor](Magnitude value, unsigned* quotient) {
    value *= 2;
    *quotient *= 2;
    if (value >= divisor) {
      value -= divisor;
      ++*quotient;
    }
    return value;
  };
  unsigned digit = 0;
  const Magnitude two = twice(*rest, &digit);
  unsigned of_eight = digit;
  Magnitude sum = two + twice(twice(two, &of_eight), &of_eight);
  digit += of_eight;
  if (sum >= divisor) {
    sum -= divisor;
    ++digit;
  }
  *rest = sum;
  return digit;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

__int128 power_of_ten(int n) { return kPowers[static_cast<size_t>(n)]; }

std::optional<__int128> scaled_up(__int128 value, int n) {
  if (value == 0) return value;
  __int128 product;
  if (n > kMaxDecimalDigits || __builtin_mul_overflow(value, power_of_ten(n), &product)) {
    return std::nullopt;
  }
  return has_digits(product, kMaxDecimalDigits) ? std::optional(product) : std::nullopt;
}

__int128 scaled_down(__int128 value, int n) {
  if (n == 0) return value;
  if (n > kMaxDecimalDigits) return 0;
  const __int128 tens = value / power_of_ten(n - 1);
  return tens / 10 + (tens % 10 >= 5) - (tens % 10 <= -5);
}

std::optional<__int128> rescaled(__int128 value, int from, int to) {
  return to >= from ? scaled_up(value, to - from) : std::optional(scaled_down(value, from - to));
}

std::optional<__int128> divided(__int128 a, __int128 b, int n) {
  const bool is_negative = (a < 0) != (b < 0);
  const Magnitude divisor = magnitude(b);
  Magnitude quotient = magnitude(a) / divisor;
  Magnitude rest = magnitude(a) % divisor;
  for (int i = 0; i < n; ++i) {
    const unsigned digit = next_digit(divisor, &rest);
    // Before the multiplication, which would wrap; one more digit would not fit either.
    if (quotient > (static_cast<Magnitude>(kMaxDecimal) - digit) / 10) return std::nullopt;
    quotient = quotient * 10 + digit;
  }
  if (next_digit(divisor, &rest) >= 5) ++quotient;
  return with_sign(quotient, is_negative);
}

std::optional<__int128> parse_decimal(std::string_view text, int scale) {
  const bool is_negative = text.starts_with('-');
  if (is_negative) text.remove_prefix(1);
  std::string digits;  // without leading zeros
  int64_t after_point = 0;
  bool has_digit = false;
  bool has_point = false;
  size_t i = 0;
  for (; i < text.size() && (is_digit(text[i]) || (text[i] == '.' && !has_point)); ++i) {
    if (text[i] == '.') {
      has_point = true;
      continue;
    }
    has_digit = true;
    after_point += has_point;
    if (!digits.empty() || text[i] != '0') digits += text[i];
  }
  if (!has_digit) return std::nullopt;
  int64_t exponent = 0;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    const char* begin = text.data() + i + 1;
    const char* end = text.data() + text.size();
    if (begin < end && *begin == '+' && begin + 1 < end && is_digit(begin[1])) ++begin;
    const auto [stop, error] = std::from_chars(begin, end, exponent);
    if (error != std::errc{} || stop != end) return std::nullopt;
  }
  if (digits.empty()) return 0;
  // The value is digits * 10^(exponent - after_point); `kept` of them stand before the cut.
  exponent = std::clamp<int64_t>(exponent, -1'000'000, 1'000'000);
  const int64_t kept = static_cast<int64_t>(digits.size()) + exponent - after_point + scale;
  if (kept < 0) return 0;
  if (kept > kMaxDecimalDigits) return std::nullopt;
  Magnitude value = 0;
  for (size_t at = 0; at < static_cast<size_t>(kept); ++at) {
    value = value * 10 + static_cast<unsigned>(at < digits.size() ? digits[at] - '0' : 0);
  }
  const auto cut = static_cast<size_t>(kept);
  if (cut < digits.size() && digits[cut] >= '5') ++value;
  return with_sign(value, is_negative);
}

DataType decimal_type(int precision, int scale) {
  DataType type = DataType::of(TypeId::kDecimal128);
  type.precision = static_cast<uint8_t>(precision);
  type.scale = static_cast<int8_t>(scale);
  return type;
}

}  // namespace pystream::expressions::detail
