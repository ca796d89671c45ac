#pragma once
// Facts about the numbers behind each type, and comparisons that are exact across types.

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "columns/data_type.hpp"

namespace pystream::expressions::detail {

// 10^38 - 1, the greatest unscaled decimal128.
inline constexpr __int128 kMaxDecimal =
    static_cast<__int128>(9'999'999'999'999'999'999u) * 10'000'000'000'000'000'000u +
    9'999'999'999'999'999'999u;

// Least and greatest value of an integer, time or decimal type.
std::pair<__int128, __int128> integer_range(const DataType& type);

// Nanoseconds in one tick of a temporal type; a date32 ticks once a day.
int64_t nanos_per_tick(const DataType& type);

// Of a positive divisor.
inline int64_t floor_divide(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0);
}

// "-12.50" for -1250 at scale 2.
std::string decimal_text(__int128 unscaled, int scale);

// Calls visit with a value of the C++ type behind a numeric or temporal type other than decimal.
template <typename Visit>
decltype(auto) visit_fixed(const DataType& type, Visit&& visit) {
  switch (type.id) {
    case TypeId::kInt8:
      return visit(int8_t{});
    case TypeId::kInt16:
      return visit(int16_t{});
    case TypeId::kInt32:
    case TypeId::kDate32:
      return visit(int32_t{});
    case TypeId::kUInt8:
      return visit(uint8_t{});
    case TypeId::kUInt16:
      return visit(uint16_t{});
    case TypeId::kUInt32:
      return visit(uint32_t{});
    case TypeId::kUInt64:
      return visit(uint64_t{});
    case TypeId::kFloat32:
      return visit(float{});
    case TypeId::kFloat64:
      return visit(double{});
    default:
      return visit(int64_t{});
  }
}

// What the user sees when a row fails.
template <typename T>
std::string number_text(T value);

// A float as Python's repr() writes it: 0.1, 1e+16, -0.0, nan.
template <typename T>
std::string float_text(T value);

extern template std::string float_text(float);
extern template std::string float_text(double);
extern template std::string number_text(int64_t);
extern template std::string number_text(uint64_t);
extern template std::string number_text(float);
extern template std::string number_text(double);

}  // namespace pystream::expressions::detail
