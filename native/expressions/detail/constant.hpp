#pragma once
// A value known when the expression is bound, so that kernels read it from a register instead of
// a column of copies.

#include <cstdint>
#include <string>
#include <variant>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

struct Constant {
  // Signed integers and times are int64_t, unsigned integers of every width uint64_t, both floats
  // double, decimals their unscaled __int128; monostate is null.
  using Value =
      std::variant<std::monostate, bool, int64_t, uint64_t, double, __int128, std::string>;

  Value value;

  bool is_null() const { return std::holds_alternative<std::monostate>(value); }

  // The number as T; the caller knows that it fits. Zero when null.
  template <typename T>
  T number() const {
    if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<T>(*i);
    if (const auto* u = std::get_if<uint64_t>(&value)) return static_cast<T>(*u);
    if (const auto* f = std::get_if<double>(&value)) return static_cast<T>(*f);
    if (const auto* d = std::get_if<__int128>(&value)) return static_cast<T>(*d);
    if (const auto* b = std::get_if<bool>(&value)) return static_cast<T>(*b);
    return T{};
  }
  const std::string& text() const { return std::get<std::string>(value); }
  bool truth() const { return std::get<bool>(value); }
};

// An integer-like number in the alternative that `type` uses.
Constant integer_constant(const DataType& type, __int128 value);

// Writes the constant as one value of a fixed-width, non-bool type to `out`.
void store_constant(const Constant& constant, const DataType& type, void* out);

// `rows` copies. Strings come dictionary-encoded, one entry.
Array repeat_constant(const Constant& constant, const DataType& type, int64_t rows);

// Value `row` of `array` as a constant; the inverse of repeat_constant(..., 1).
Constant constant_from(const Array& array, int64_t row);

}  // namespace pystream::expressions::detail
