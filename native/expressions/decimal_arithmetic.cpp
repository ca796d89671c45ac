// Arithmetic of decimals with decimals and integers. + - * are exact or an error; a quotient is
// rounded to the scale that SQL (and Flink) give it.

#include <algorithm>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/decimal.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"

namespace pystream::expressions::detail {
namespace {

using Result = std::optional<__int128>;
using Operation = std::function<Result(__int128, __int128)>;

__int128 decimal_at(const Array& array, int64_t row) {
  __int128 value;
  std::memcpy(&value, array.values.data + row * 16, 16);
  return value;
}

class DecimalNode final : public Node {
 public:
  DecimalNode(NodePtr left, NodePtr right, DataType type, Operation operation, bool divides,
              std::string text)
      : Node(std::move(type), left->nullable() || right->nullable(), std::move(text)),
        left_(std::move(left)),
        right_(std::move(right)),
        operation_(std::move(operation)),
        divides_(divides) {}

  Array compute(const Input& batch) const override {
    const Array left = left_->evaluate(batch);
    const Array right = right_->evaluate(batch);
    MutableBuffer out(left.length * 16);
    for (int64_t i = 0; i < left.length; ++i) {
      __int128 value = 0;
      if (left.is_valid(i) && right.is_valid(i)) {
        value = compute(decimal_at(left, i), decimal_at(right, i), i);
      }
      std::memcpy(out.data() + i * 16, &value, 16);
    }
    return fixed_array(type(), left.length, out.freeze(), both_valid(left, right));
  }

 private:
  __int128 compute(__int128 a, __int128 b, int64_t row) const {
    if (divides_ && b == 0) {
      throw_row_error(text(), row,
                      "division of " + decimal_text(a, left_->type().scale) + " by zero",
                      "Filter such rows out, or use when(...)");
    }
    const Result value = operation_(a, b);
    if (value && has_digits(*value, type().precision)) return *value;
    throw_row_error(text(), row,
                    "decimal overflow: the result for " + decimal_text(a, left_->type().scale) +
                        " and " + decimal_text(b, right_->type().scale) + " does not fit " +
                        type().to_string(),
                    "Cast to fewer digits, or to float64 where an approximate result will do");
  }

  NodePtr left_;
  NodePtr right_;
  Operation operation_;
  bool divides_;
};

class DecimalSignNode final : public Node {
 public:
  DecimalSignNode(NodePtr child, bool negates, std::string text)
      : Node(child->type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        negates_(negates) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * 16);
    for (int64_t i = 0; i < in.length; ++i) {
      __int128 value = in.is_valid(i) ? decimal_at(in, i) : 0;
      if (negates_ || value < 0) value = -value;
      std::memcpy(out.data() + i * 16, &value, 16);
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  bool negates_;
};

// The digits that integers of a type have at most.
int digits_of(const DataType& type) {
  switch (type.byte_width()) {
    case 1:
      return 3;
    case 2:
      return 5;
    case 4:
      return 10;
    default:
      return type.id == TypeId::kUInt64 ? 20 : 19;
  }
}

int digits_of(int64_t value) {
  int digits = 1;
  while (value /= 10) ++digits;
  return digits;
}

[[noreturn]] void throw_mixed(const Operand& operand, const std::string& text) {
  throw_type_error(text,
                   "arithmetic on decimals takes decimals and integers, but " + operand.text() +
                       " is " + operand.describe(),
                   "Cast one side to the type of the other, for example to float64");
}

// The operand as a decimal that holds every value of its type.
NodePtr as_decimal(const Operand& operand, const std::string& text) {
  if (operand.node) {
    const DataType& type = operand.node->type();
    if (type.id == TypeId::kDecimal128) {
      if (type.scale >= 0) return operand.node;
      throw Error(ErrorCode::kNotSupported,
                  text + ": arithmetic on " + type.to_string() +
                      ", of a negative scale, is not supported. Cast it to scale 0 first.",
                  {{"expression", text}});
    }
    if (!type.is_integer()) throw_mixed(operand, text);
    return convert(operand.node, decimal_type(digits_of(type), 0));
  }
  const Expression& literal = *operand.literal;
  if (is_null_literal(literal)) return make_constant(decimal_type(1, 0), {}, "None");
  if (literal.has_literal_type) {
    if (literal.literal_type.id == TypeId::kDecimal128) return bind_literal(literal);
    if (literal.literal_type.id == TypeId::kUInt64) {
      return literal_as(literal, decimal_type(20, 0), text);
    }
  } else if (const auto* value = std::get_if<int64_t>(&literal.literal)) {
    return literal_as(literal, decimal_type(digits_of(*value), 0), text);
  }
  throw_mixed(operand, text);
}

// SQL's: enough digits behind the point for any divisor, and at least six of them where the
// digits before the point leave no room for more.
DataType quotient_type(const DataType& a, const DataType& b) {
  constexpr int kLeastScale = 6;
  const int scale = std::max(kLeastScale, a.scale + b.precision + 1);
  const int whole = a.precision - a.scale + b.scale;
  if (whole + scale <= kMaxDecimalDigits) return decimal_type(whole + scale, scale);
  return decimal_type(kMaxDecimalDigits,
                      std::max(kMaxDecimalDigits - whole, std::min(scale, kLeastScale)));
}

}  // namespace

NodePtr bind_decimal_arithmetic(Function function, const Operand& left, const Operand& right,
                                std::string text) {
  NodePtr a = as_decimal(left, text);
  NodePtr b = as_decimal(right, text);
  const DataType& x = a->type();
  const DataType& y = b->type();
  const auto node = [&](const DataType& type, Operation operation, bool divides = false) {
    return std::make_shared<DecimalNode>(a, b, type, std::move(operation), divides, text);
  };
  switch (function) {
    case Function::kAdd:
    case Function::kSubtract: {
      const int scale = std::max(x.scale, y.scale);
      const int whole = std::max(x.precision - x.scale, y.precision - y.scale);
      const bool negates = function == Function::kSubtract;
      return node(decimal_type(std::min(whole + scale + 1, kMaxDecimalDigits), scale),
                  [up_a = scale - x.scale, up_b = scale - y.scale, negates](__int128 m,
                                                                            __int128 n) -> Result {
                    const Result first = scaled_up(m, up_a);
                    const Result second = scaled_up(n, up_b);
                    if (!first || !second) return std::nullopt;
                    return negates ? *first - *second : *first + *second;
                  });
    }
    case Function::kMultiply: {
      const int scale = x.scale + y.scale;
      if (scale > kMaxDecimalDigits) {
        throw_type_error(text,
                         "the product of " + x.to_string() + " and " + y.to_string() + " has " +
                             std::to_string(scale) + " digits behind the point, more than 38",
                         "Cast one side to a smaller scale");
      }
      return node(decimal_type(std::min(x.precision + y.precision, kMaxDecimalDigits), scale),
                  [](__int128 m, __int128 n) -> Result {
                    __int128 product;
                    if (__builtin_mul_overflow(m, n, &product)) return std::nullopt;
                    return product;
                  });
    }
    case Function::kDivide: {
      const DataType type = quotient_type(x, y);
      const int up = type.scale - x.scale + y.scale;
      return node(type, [up](__int128 m, __int128 n) { return divided(m, n, up); }, true);
    }
    default:
      throw Error(ErrorCode::kNotSupported,
                  text +
                      ": // and % of decimals are not supported. Divide and cast to an integer, "
                      "or cast to float64 first.",
                  {{"expression", text}});
  }
}

NodePtr bind_decimal_sign(bool negates, NodePtr child, std::string text) {
  return std::make_shared<DecimalSignNode>(std::move(child), negates, std::move(text));
}

}  // namespace pystream::expressions::detail
