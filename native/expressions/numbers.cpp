#include "expressions/detail/numbers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {

std::pair<__int128, __int128> integer_range(const DataType& type) {
  if (type.id == TypeId::kDecimal128) return {-kMaxDecimal, kMaxDecimal};
  return visit_fixed(type, [](auto zero) -> std::pair<__int128, __int128> {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T>) {
      return {0, 0};  // not asked for floats
    } else {
      return {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
    }
  });
}

int64_t nanos_per_tick(const DataType& type) {
  if (type.id == TypeId::kDate32) return kSecondsPerDay * kNanosPerSecond;
  return kNanosPerSecond / ticks_per_second(type.unit);
}

std::string decimal_text(__int128 unscaled, int scale) {
  const bool negative = unscaled < 0;
  // The negation of the least __int128 overflows, and no decimal128 is that small.
  __int128 left = negative ? -unscaled : unscaled;
  std::string digits;
  do {
    digits.push_back(static_cast<char>('0' + static_cast<int>(left % 10)));
    left /= 10;
  } while (left > 0 || static_cast<int>(digits.size()) <= scale);
  if (scale > 0) digits.insert(static_cast<size_t>(scale), 1, '.');
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

template <typename T>
std::string number_text(T value) {
  std::array<char, 64> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

template <typename T>
std::string float_text(T value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  const std::string scientific(buffer.data(), end.ptr);
  const size_t mark = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(mark + 1));
  if (exponent < -4 || exponent >= 16) return scientific;

  const bool negative = scientific[0] == '-';
  std::string digits = scientific.substr(negative, mark - negative);
  std::erase(digits, '.');
  if (exponent < 0) {
    digits.insert(0, static_cast<size_t>(-exponent), '0');
  } else if (digits.size() < static_cast<size_t>(exponent) + 2) {
    digits.append(static_cast<size_t>(exponent) + 2 - digits.size(), '0');
  }
  digits.insert(exponent < 0 ? 1 : static_cast<size_t>(exponent) + 1, 1, '.');
  if (negative) digits.insert(0, 1, '-');
  return digits;
}

template std::string float_text(float);
template std::string float_text(double);
template std::string number_text(int64_t);
template std::string number_text(uint64_t);
template std::string number_text(float);
template std::string number_text(double);

}  // namespace pystream::expressions::detail
