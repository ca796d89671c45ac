// Casts between numbers, bool and times. Numbers that the target cannot hold are errors; floats
// are truncated towards zero on the way to integers, as int() does.

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {
namespace {

template <typename T>
std::string text_of(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    return number_text(value);
  } else if constexpr (std::is_signed_v<T>) {
    return number_text(int64_t{value});
  } else {
    return number_text(uint64_t{value});
  }
}

// out[i] = convert(in[i], bad), where bad is set for values without a result.
template <typename From, typename To, typename Convert>
Array map_values(const Array& in, const DataType& type, CastFailures& failures,
                 const Convert& convert) {
  MutableBuffer out(in.length * static_cast<int64_t>(sizeof(To)));
  const From* values = in.data<From>();
  To* __restrict results = out.template as<To>();
  bool bad = false;
  for (int64_t i = 0; i < in.length; ++i) results[i] = convert(values[i], bad);
  if (bad) {
    for (int64_t row = 0; row < in.length; ++row) {
      bad = false;
      convert(values[row], bad);
      if (bad && in.is_valid(row) && !failures.become_null(row)) {
        throw_cast_error(failures.text(), row, text_of(values[row]), type);
      }
    }
  }
  return fixed_array(type, in.length, out.freeze(), validity_of(in));
}

template <typename From, typename To>
To convert_number(From value, bool& bad) {
  if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else if constexpr (std::is_floating_point_v<From>) {
    // Both limits are exact: the least value is a power of two, and so is the greatest plus one.
    constexpr From kLeast = static_cast<From>(std::numeric_limits<To>::min());
    const From kBeyond = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    const From whole = std::trunc(value);
    if (whole >= kLeast && whole < kBeyond) return static_cast<To>(whole);
    bad = true;
    return 0;
  } else {
    bad |= !std::in_range<To>(value);
    return static_cast<To>(value);
  }
}

Array numbers_from_bools(const Array& in, const DataType& type) {
  return visit_fixed(type, [&](auto zero) {
    using T = decltype(zero);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    T* results = out.template as<T>();
    for (int64_t i = 0; i < in.length; ++i) results[i] = get_bit(in.values.data, i) ? T{1} : T{0};
    return fixed_array(type, in.length, out.freeze(), validity_of(in));
  });
}

Array bools_from_numbers(const Array& in) {
  return visit_fixed(in.type, [&](auto zero) {
    using T = decltype(zero);
    const T* values = in.data<T>();
    Buffer bits = make_bitmap(in.length, [&](int64_t word) {
      uint64_t value = 0;
      const int64_t begin = word * 64;
      const int64_t end = std::min(begin + 64, in.length);
      for (int64_t i = begin; i < end; ++i) {
        value |= static_cast<uint64_t>(values[i] != T{0}) << (i - begin);
      }
      return value;
    });
    return bool_array(in.length, std::move(bits), validity_of(in));
  });
}

__int128 decimal_at(const Array& in, int64_t row) {
  __int128 value;
  std::memcpy(&value, in.values.data + row * 16, 16);
  return value;
}

// Through text, which rounds correctly; dividing by a power of ten would round twice.
Array floats_from_decimals(const Array& in, const DataType& type) {
  return visit_fixed(type, [&](auto zero) {
    using T = decltype(zero);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    for (int64_t i = 0; i < in.length; ++i) {
      T value{};
      if constexpr (std::is_floating_point_v<T>) {
        const std::string digits = decimal_text(decimal_at(in, i), in.type.scale);
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
      }
      out.template as<T>()[i] = value;
    }
    return fixed_array(type, in.length, out.freeze(), validity_of(in));
  });
}

Array integers_from_decimals(const Array& in, const DataType& type, CastFailures& failures) {
  __int128 unit = 1;
  for (int i = 0; i < in.type.scale; ++i) unit *= 10;
  const auto [least, greatest] = integer_range(type);
  return visit_fixed(type, [&, least = least, greatest = greatest](auto zero) {
    using T = decltype(zero);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    for (int64_t i = 0; i < in.length; ++i) {
      const __int128 whole = decimal_at(in, i) / unit;
      if ((whole < least || whole > greatest) && in.is_valid(i) && !failures.become_null(i)) {
        throw_cast_error(failures.text(), i, decimal_text(decimal_at(in, i), in.type.scale), type);
      }
      out.template as<T>()[i] = static_cast<T>(whole);
    }
    return fixed_array(type, in.length, out.freeze(), validity_of(in));
  });
}

// The same bytes under another type.
CastKernel relabel(const DataType& to) {
  return [to](const Array& in, CastFailures&) {
    Array out = in;
    out.type = to;
    return out;
  };
}

int64_t multiply(int64_t value, int64_t factor, bool& bad) {
  int64_t product;
  bad |= __builtin_mul_overflow(value, factor, &product);
  return product;
}

// Finer units multiply, coarser ones take the floor.
template <typename From, typename To>
CastKernel scale_times(const DataType& to, int64_t from_nanos, int64_t to_nanos) {
  return [=](const Array& in, CastFailures& failures) {
    if (from_nanos >= to_nanos) {
      const int64_t factor = from_nanos / to_nanos;
      return map_values<From, To>(in, to, failures, [factor](From value, bool& bad) {
        return static_cast<To>(multiply(value, factor, bad));
      });
    }
    const int64_t divisor = to_nanos / from_nanos;
    return map_values<From, To>(in, to, failures, [divisor](From value, bool& bad) {
      const int64_t result = floor_divide(value, divisor);
      bad |= !std::in_range<To>(result);
      return static_cast<To>(result);
    });
  };
}

}  // namespace

CastKernel find_number_cast(const DataType& from, const DataType& to) {
  const auto plain = [](const DataType& type) { return type.is_integer() || type.is_floating(); };
  if (from.is_bool() && plain(to)) {
    return [to](const Array& in, CastFailures&) { return numbers_from_bools(in, to); };
  }
  if (plain(from) && to.is_bool()) {
    return [](const Array& in, CastFailures&) { return bools_from_numbers(in); };
  }
  if (from.id == TypeId::kDecimal128 && to.is_floating()) {
    return [to](const Array& in, CastFailures&) { return floats_from_decimals(in, to); };
  }
  if (from.id == TypeId::kDecimal128 && to.is_integer()) {
    return [to](const Array& in, CastFailures& failures) {
      return integers_from_decimals(in, to, failures);
    };
  }
  if (!plain(from) || !plain(to)) return nullptr;
  return visit_fixed(from, [&](auto from_zero) {
    return visit_fixed(to, [&](auto to_zero) -> CastKernel {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      return [to](const Array& in, CastFailures& failures) {
        return map_values<From, To>(in, to, failures, [](From value, bool& bad) {
          return convert_number<From, To>(value, bad);
        });
      };
    });
  });
}

CastKernel find_time_cast(const DataType& from, const DataType& to) {
  const auto is_instant = [](const DataType& type) {
    return type.id == TypeId::kTimestamp || type.id == TypeId::kDate32;
  };
  const bool both_times = (is_instant(from) && is_instant(to)) ||
                          (from.id == TypeId::kDuration && to.id == TypeId::kDuration);
  if (both_times) {
    const int64_t from_nanos = nanos_per_tick(from);
    const int64_t to_nanos = nanos_per_tick(to);
    if (from_nanos == to_nanos) return relabel(to);
    if (from.id == TypeId::kDate32) return scale_times<int32_t, int64_t>(to, from_nanos, to_nanos);
    if (to.id == TypeId::kDate32) return scale_times<int64_t, int32_t>(to, from_nanos, to_nanos);
    return scale_times<int64_t, int64_t>(to, from_nanos, to_nanos);
  }
  // A time is the number of its ticks.
  if (from.is_temporal() && to.is_integer()) {
    const bool is_date = from.id == TypeId::kDate32;
    const DataType ticks = DataType::of(is_date ? TypeId::kInt32 : TypeId::kInt64);
    return ticks == to ? relabel(to) : find_number_cast(ticks, to);
  }
  if (from.is_integer() && to.is_temporal()) {
    const bool is_date = to.id == TypeId::kDate32;
    const DataType ticks = DataType::of(is_date ? TypeId::kInt32 : TypeId::kInt64);
    if (from == ticks) return relabel(to);
    return [count = find_number_cast(from, ticks), to](const Array& in, CastFailures& failures) {
      Array out = count(in, failures);
      out.type = to;
      return out;
    };
  }
  return nullptr;
}

void throw_cast_error(const std::string& text, int64_t row, const std::string& value,
                      const DataType& target) {
  throw_row_error(text, row, value + " does not fit " + target.to_string(),
                  "Cast to a wider type, or filter such rows out");
}

}  // namespace pystream::expressions::detail
