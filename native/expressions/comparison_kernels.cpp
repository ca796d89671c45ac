#include "expressions/detail/comparison_kernels.hpp"

#include "expressions/detail/comparison_ops.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

// Calls with the operation as a type. Over two columns > and >= are < and <= the other way round,
// which is true of NaN too, and saves a third of the kernels.
template <typename Call>
CompareKernel with_operation(Function function, Call&& call) {
  switch (function) {
    case Function::kEqual:
      return call(Equal{});
    case Function::kNotEqual:
      return call(NotEqual{});
    case Function::kLess:
      return call(Less{});
    case Function::kLessEqual:
      return call(LessEqual{});
    case Function::kGreater:
      return call(Greater{});
    default:
      return call(GreaterEqual{});
  }
}

template <typename A, typename B>
CompareKernel columns_kernel(Function function) {
  return with_operation(function, [](auto op) -> CompareKernel {
    using Op = decltype(op);
    return [](const Array& left, const Array& right, int64_t rows, uint64_t* out) {
      const Column<A> a{left.data<A>()};
      const Column<B> b{right.data<B>()};
      if constexpr (std::is_same_v<A, B>) {
        if constexpr (std::is_same_v<Op, Greater>) {
          vectorized<&compare_loop<Less, Column<B>, Column<A>>>(b, a, rows, out);
        } else if constexpr (std::is_same_v<Op, GreaterEqual>) {
          vectorized<&compare_loop<LessEqual, Column<B>, Column<A>>>(b, a, rows, out);
        } else {
          vectorized<&compare_loop<Op, Column<A>, Column<B>>>(a, b, rows, out);
        }
      } else {
        compare_loop<Op>(a, b, rows, out);
      }
    };
  });
}

// Values of a finer and a coarser unit in one: times never overflow 128 bits.
struct ScaledTimes {
  const int64_t* at;
  int64_t factor;
  __int128 operator[](int64_t i) const { return static_cast<__int128>(at[i]) * factor; }
};

__int128 power_of_ten(int exponent) {
  __int128 power = 1;
  for (int i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// A decimal as its floor and what is above it, the latter at a scale common to both sides: no
// multiplication can overflow.
struct DecimalParts {
  __int128 whole;
  __int128 fraction;
  bool operator==(const DecimalParts&) const = default;
  bool operator<(const DecimalParts& other) const {
    return whole != other.whole ? whole < other.whole : fraction < other.fraction;
  }
  bool operator<=(const DecimalParts& other) const { return !(other < *this); }
  bool operator>(const DecimalParts& other) const { return other < *this; }
  bool operator>=(const DecimalParts& other) const { return !(*this < other); }
};

DecimalParts split(__int128 value, __int128 unit, __int128 raise) {
  __int128 whole = value / unit;
  __int128 rest = value % unit;
  if (rest < 0) {
    rest += unit;
    --whole;
  }
  return {whole, rest * raise};
}

class DecimalSide {
 public:
  DecimalSide(const DataType& type, int common_scale)
      : id_(type.id),
        unit_(power_of_ten(type.id == TypeId::kDecimal128 ? type.scale : 0)),
        raise_(power_of_ten(common_scale - (type.id == TypeId::kDecimal128 ? type.scale : 0))) {}
  void set_values(const uint8_t* values) { values_ = values; }
  DecimalParts operator[](int64_t i) const {
    if (id_ == TypeId::kInt64) return {reinterpret_cast<const int64_t*>(values_)[i], 0};
    if (id_ == TypeId::kUInt64) return {reinterpret_cast<const uint64_t*>(values_)[i], 0};
    __int128 value;  // foreign decimals need not be aligned to 16 bytes
    std::memcpy(&value, values_ + i * 16, 16);
    return split(value, unit_, raise_);
  }

 private:
  TypeId id_;
  __int128 unit_;
  __int128 raise_;
  const uint8_t* values_ = nullptr;
};

int scale_of(const DataType& type) { return type.id == TypeId::kDecimal128 ? type.scale : 0; }

}  // namespace

Function mirrored(Function function) {
  switch (function) {
    case Function::kLess:
      return Function::kGreater;
    case Function::kLessEqual:
      return Function::kGreaterEqual;
    case Function::kGreater:
      return Function::kLess;
    case Function::kGreaterEqual:
      return Function::kLessEqual;
    default:
      return function;
  }
}

CompareKernel compare_columns(Function function, const DataType& left, const DataType& right) {
  if (right.id == TypeId::kFloat64 && left.is_integer()) {
    return left.id == TypeId::kUInt64 ? columns_kernel<uint64_t, double>(function)
                                      : columns_kernel<int64_t, double>(function);
  }
  if (right.id == TypeId::kUInt64 && left.id == TypeId::kInt64) {
    return columns_kernel<int64_t, uint64_t>(function);
  }
  return visit_fixed(
      left, [&](auto zero) { return columns_kernel<decltype(zero), decltype(zero)>(function); });
}

CompareKernel compare_constant(Function function, const DataType& type, const Constant& constant) {
  return visit_fixed(type, [&](auto zero) {
    using T = decltype(zero);
    return with_operation(function, [&](auto op) -> CompareKernel {
      const Repeated<T> value{constant.number<T>()};
      return [value](const Array& left, const Array&, int64_t rows, uint64_t* out) {
        vectorized<&compare_loop<decltype(op), Column<T>, Repeated<T>>>(Column<T>{left.data<T>()},
                                                                        value, rows, out);
      };
    });
  });
}

CompareKernel compare_times(Function function, const DataType& left, const DataType& right) {
  return with_operation(function, [&](auto op) -> CompareKernel {
    const int64_t a = nanos_per_tick(left);
    const int64_t b = nanos_per_tick(right);
    return [a, b](const Array& x, const Array& y, int64_t rows, uint64_t* out) {
      compare_loop<decltype(op)>(ScaledTimes{x.data<int64_t>(), a},
                                 ScaledTimes{y.data<int64_t>(), b}, rows, out);
    };
  });
}

CompareKernel compare_decimals(Function function, const DataType& left, const DataType& right) {
  const int scale = std::max(scale_of(left), scale_of(right));
  return with_operation(function, [&](auto op) -> CompareKernel {
    return [a = DecimalSide(left, scale), b = DecimalSide(right, scale)](
               const Array& x, const Array& y, int64_t rows, uint64_t* out) mutable {
      DecimalSide first = a;
      DecimalSide second = b;
      first.set_values(x.values.data);
      second.set_values(y.values.data);
      compare_loop<decltype(op)>(first, second, rows, out);
    };
  });
}

CompareKernel compare_decimal_constant(Function function, const DataType& type,
                                       const Constant& constant) {
  return with_operation(function, [&](auto op) -> CompareKernel {
    const Repeated<DecimalParts> value{
        split(constant.number<__int128>(), power_of_ten(type.scale), 1)};
    return [value, side = DecimalSide(type, type.scale)](const Array& x, const Array&, int64_t rows,
                                                         uint64_t* out) {
      DecimalSide left = side;
      left.set_values(x.values.data);
      compare_loop<decltype(op)>(left, value, rows, out);
    };
  });
}

}  // namespace pystream::expressions::detail
