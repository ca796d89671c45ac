// Casts to decimals. What has more digits behind the point is rounded, ties away from zero; what
// has more before it does not fit.

#include <cmath>

#include "columns/builder.hpp"
#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/decimal.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/string_reader.hpp"

namespace pystream::expressions::detail {
namespace {

// convert(row) gives the unscaled value, or nothing; describe(row) the value for the error.
template <typename Convert, typename Describe>
Array to_decimals(const Array& in, const DataType& to, CastFailures& failures,
                  const Convert& convert, const Describe& describe) {
  FixedBuilder<__int128> out(to);
  for (int64_t row = 0; row < in.length; ++row) {
    if (!in.is_valid(row)) {
      out.append_null();
      continue;
    }
    std::optional<__int128> value = convert(row);
    if (value && !has_digits(*value, to.precision)) value.reset();
    if (!value && !failures.become_null(row)) {
      throw_cast_error(failures.text(), row, describe(row), to);
    }
    out.append(value.value_or(0));
  }
  return out.finish();
}

__int128 decimal_at(const Array& in, int64_t row) {
  __int128 value;
  std::memcpy(&value, in.values.data + row * 16, 16);
  return value;
}

CastKernel from_decimals(const DataType& to) {
  return [to](const Array& in, CastFailures& failures) {
    return to_decimals(
        in, to, failures,
        [&](int64_t row) { return rescaled(decimal_at(in, row), in.type.scale, to.scale); },
        [&](int64_t row) { return decimal_text(decimal_at(in, row), in.type.scale); });
  };
}

CastKernel from_texts(const DataType& to) {
  return [to](const Array& in, CastFailures& failures) {
    const StringReader read(in);
    return to_decimals(
        in, to, failures, [&](int64_t row) { return parse_decimal(read[row], to.scale); },
        [&](int64_t row) {
          std::string shown(1, '\'');
          shown.append(read[row].substr(0, 40)).push_back('\'');
          return shown;
        });
  };
}

// Floats by the shortest digits that tell them apart, which is what they are written as.
template <typename T>
CastKernel from_numbers(const DataType& to) {
  return [to](const Array& in, CastFailures& failures) {
    const T* values = in.data<T>();
    const auto describe = [&](int64_t row) -> std::string {
      if constexpr (std::is_floating_point_v<T>) return float_text(values[row]);
      return std::to_string(values[row]);
    };
    return to_decimals(
        in, to, failures,
        [&](int64_t row) -> std::optional<__int128> {
          if constexpr (std::is_floating_point_v<T>) {
            if (!std::isfinite(values[row])) return std::nullopt;
            return parse_decimal(float_text(values[row]), to.scale);
          } else {
            return rescaled(values[row], 0, to.scale);
          }
        },
        describe);
  };
}

}  // namespace

CastKernel find_decimal_cast(const DataType& from, const DataType& to) {
  if (to.id != TypeId::kDecimal128) return nullptr;
  if (from.id == TypeId::kDecimal128) return from_decimals(to);
  if (from.id == TypeId::kString) return from_texts(to);
  if (!from.is_integer() && !from.is_floating()) return nullptr;
  return visit_fixed(from, [&](auto zero) { return from_numbers<decltype(zero)>(to); });
}

}  // namespace pystream::expressions::detail
