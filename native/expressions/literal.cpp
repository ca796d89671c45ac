#include "expressions/detail/literal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {
namespace {

enum class Kind : uint8_t { kNull, kBool, kInteger, kFloat, kText, kBinary, kDecimal, kTime };

Kind kind_of(const Expression& literal) {
  if (is_null_literal(literal)) return Kind::kNull;
  if (literal.has_literal_type) {
    const DataType& type = literal.literal_type;
    if (type.is_temporal()) return Kind::kTime;
    if (type.id == TypeId::kDecimal128) return Kind::kDecimal;
    if (type.id == TypeId::kBinary) return Kind::kBinary;
  }
  if (std::holds_alternative<bool>(literal.literal)) return Kind::kBool;
  if (std::holds_alternative<double>(literal.literal)) return Kind::kFloat;
  if (std::holds_alternative<std::string>(literal.literal)) return Kind::kText;
  return Kind::kInteger;
}

__int128 integer_of(const Expression& literal) {
  const int64_t value = std::get<int64_t>(literal.literal);
  if (literal.has_literal_type && literal.literal_type.id == TypeId::kUInt64) {
    return static_cast<uint64_t>(value);
  }
  return value;
}

[[noreturn]] void mismatch(const Expression& literal, const DataType& type,
                           const std::string& text) {
  throw_type_error(text, literal.to_string() + " is not a " + type.to_string(),
                   "Write the literal in the type of the other operand, or cast that operand");
}

// A literal between two integers of the type: equal when it is one.
struct IntegerBounds {
  __int128 floor = 0;
  __int128 ceil = 0;
  bool unordered = false;
};

IntegerBounds divide(__int128 value, __int128 divisor) {
  __int128 floor = value / divisor;
  const bool exact = value % divisor == 0;
  if (!exact && value < 0) --floor;
  return {floor, exact ? floor : floor + 1, false};
}

IntegerBounds float_bounds(double value) {
  if (std::isnan(value)) return {0, 0, true};
  // Beyond every integer type, and still far inside __int128.
  constexpr double kLimit = 0x1p100;
  const double clipped = std::clamp(value, -kLimit, kLimit);
  return {static_cast<__int128>(std::floor(clipped)), static_cast<__int128>(std::ceil(clipped)),
          false};
}

// Decimal digits with an optional sign and point as value * 10^scale.
IntegerBounds decimal_bounds(const std::string& digits, int scale) {
  __int128 value = 0;
  int decimals = -1;
  bool rest = false;
  for (const char c : digits) {
    if (c == '-' || c == '+') continue;
    if (c == '.') {
      decimals = 0;
      continue;
    }
    if (decimals >= scale && decimals >= 0) {
      rest = rest || c != '0';
      continue;
    }
    if (value < kMaxDecimal) value = value * 10 + (c - '0');
    if (decimals >= 0) ++decimals;
  }
  for (int i = std::max(decimals, 0); i < scale && value < kMaxDecimal; ++i) value *= 10;
  if (digits.starts_with('-')) return {-value - (rest ? 1 : 0), -value, false};
  return {value, value + (rest ? 1 : 0), false};
}

__int128 nanos_of(const Expression& literal, const DataType& type, const std::string& text) {
  if (const auto* words = std::get_if<std::string>(&literal.literal)) {
    if (type.id == TypeId::kDuration) {
      if (const auto nanos = parse_duration(*words)) return *nanos;
      throw_type_error(text, literal.to_string() + " is not a duration",
                       "Write a number and a unit, for example \"5s\" or \"1h30m\"");
    }
    if (const auto point = parse_iso_time(*words)) {
      return static_cast<__int128>(point->seconds) * kNanosPerSecond + point->nanos;
    }
    throw_type_error(text, literal.to_string() + " is not a time",
                     "Write ISO 8601, for example \"2013-01-01T05:30:00\"");
  }
  const bool is_duration = literal.literal_type.id == TypeId::kDuration;
  if (is_duration != (type.id == TypeId::kDuration)) mismatch(literal, type, text);
  return static_cast<__int128>(std::get<int64_t>(literal.literal)) *
         nanos_per_tick(literal.literal_type);
}

IntegerBounds integer_bounds(const Expression& literal, const DataType& type,
                             const std::string& text) {
  const Kind kind = kind_of(literal);
  if (type.id == TypeId::kDecimal128) {
    if (kind == Kind::kInteger) {
      return decimal_bounds(decimal_text(integer_of(literal), 0), type.scale);
    }
    if (kind == Kind::kDecimal) {
      return decimal_bounds(std::get<std::string>(literal.literal), type.scale);
    }
    mismatch(literal, type, text);
  }
  if (kind == Kind::kInteger) return {integer_of(literal), integer_of(literal), false};
  if (type.is_integer() && kind == Kind::kFloat) {
    return float_bounds(std::get<double>(literal.literal));
  }
  if (type.is_temporal() && (kind == Kind::kText || kind == Kind::kTime)) {
    return divide(nanos_of(literal, type, text), nanos_per_tick(type));
  }
  mismatch(literal, type, text);
}

Bracket integer_bracket(const Expression& literal, const DataType& type, const std::string& text) {
  const IntegerBounds bounds = integer_bounds(literal, type, text);
  Bracket bracket;
  bracket.unordered = bounds.unordered;
  if (bounds.unordered) return bracket;
  const auto [least, greatest] = integer_range(type);
  if (bounds.floor >= least) {
    bracket.below = integer_constant(type, std::min(bounds.floor, greatest));
  }
  if (bounds.ceil <= greatest) {
    bracket.above = integer_constant(type, std::max(bounds.ceil, least));
  }
  bracket.exact = bounds.floor == bounds.ceil && bracket.below && bracket.above;
  return bracket;
}

// `difference` is the sign of (rounded - literal).
template <typename T>
Bracket float_bracket(T rounded, int difference) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Bracket bracket;
  bracket.exact = difference == 0;
  bracket.below = Constant{double{difference > 0 ? std::nextafter(rounded, -kInfinity) : rounded}};
  bracket.above = Constant{double{difference < 0 ? std::nextafter(rounded, kInfinity) : rounded}};
  return bracket;
}

template <typename T>
Bracket float_bracket_of(const Expression& literal, const DataType& type, const std::string& text) {
  switch (kind_of(literal)) {
    case Kind::kInteger: {
      const __int128 value = integer_of(literal);
      const T rounded = static_cast<T>(value);
      const __int128 back = static_cast<__int128>(rounded);
      return float_bracket(rounded, (back > value) - (back < value));
    }
    case Kind::kFloat: {
      const double value = std::get<double>(literal.literal);
      if (std::isnan(value)) {
        Bracket nan;
        nan.unordered = true;
        return nan;
      }
      const T rounded = static_cast<T>(value);
      const double back = rounded;
      return float_bracket(rounded, (back > value) - (back < value));
    }
    default:
      mismatch(literal, type, text);
  }
}

// bool, string and binary hold their literals exactly.
Bracket plain_bracket(const Expression& literal, const DataType& type, const std::string& text) {
  const Kind kind = kind_of(literal);
  Bracket bracket;
  if (type.is_bool() && kind == Kind::kBool) {
    bracket.below = Constant{std::get<bool>(literal.literal)};
  } else if (type.is_var_binary() &&
             (kind == Kind::kText || (kind == Kind::kBinary && type.id == TypeId::kBinary))) {
    bracket.below = Constant{std::get<std::string>(literal.literal)};
  } else {
    mismatch(literal, type, text);
  }
  bracket.above = bracket.below;
  bracket.exact = true;
  return bracket;
}

}  // namespace

Bracket bracket(const Expression& literal, const DataType& type, const std::string& text) {
  if (type.is_bool() || type.is_var_binary()) return plain_bracket(literal, type, text);
  if (type.id == TypeId::kFloat32) return float_bracket_of<float>(literal, type, text);
  if (type.id == TypeId::kFloat64) return float_bracket_of<double>(literal, type, text);
  return integer_bracket(literal, type, text);
}

NodePtr literal_as(const Expression& literal, const DataType& type, const std::string& text) {
  const std::string name = literal.to_string();
  if (is_null_literal(literal)) return make_constant(type, {}, name);
  if (type.is_floating()) {
    const Kind kind = kind_of(literal);
    if (kind != Kind::kInteger && kind != Kind::kFloat) mismatch(literal, type, text);
    double value = kind == Kind::kFloat ? std::get<double>(literal.literal)
                                        : static_cast<double>(integer_of(literal));
    if (type.id == TypeId::kFloat32) {
      value = kind == Kind::kFloat ? double{static_cast<float>(value)}
                                   : double{static_cast<float>(integer_of(literal))};
    }
    return make_constant(type, Constant{value}, name);
  }
  const Bracket found = bracket(literal, type, text);
  if (!found.exact) {
    throw_type_error(text, name + " does not fit " + type.to_string(),
                     "Cast the other operand to a type that holds it");
  }
  return make_constant(type, *found.below, name);
}

DataType natural_type(const Expression& literal) {
  if (literal.has_literal_type) return literal.literal_type;
  switch (kind_of(literal)) {
    case Kind::kBool:
      return DataType::of(TypeId::kBool);
    case Kind::kInteger:
      return DataType::of(TypeId::kInt64);
    case Kind::kFloat:
      return DataType::of(TypeId::kFloat64);
    case Kind::kText:
      return DataType::of(TypeId::kString);
    default:
      throw_schema_error("a null literal has no type of its own. Write lit(None).cast(\"int64\").");
  }
}

NodePtr bind_literal(const Expression& literal) {
  return literal_as(literal, natural_type(literal), literal.to_string());
}

NodePtr resolve(const Operand& operand) {
  return operand.node ? operand.node : bind_literal(*operand.literal);
}

bool is_null_literal(const Expression& literal) {
  return std::holds_alternative<std::monostate>(literal.literal);
}

}  // namespace pystream::expressions::detail
