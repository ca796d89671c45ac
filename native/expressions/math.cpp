// Functions of floats. They compute in float64, by the C library, and round a float32 once at the
// end; where there is no result it is what IEEE 754 says (NaN, inf), never an error.

#include <array>
#include <charconv>
#include <cmath>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"

namespace pystream::expressions::detail {
namespace {

constexpr int kMaxDigits = 15;

// The nearest decimal of so many digits, ties to even, as round() of Python: exact, because it
// goes by the value of the float and not by a product that is rounded itself.
class RoundTo {
 public:
  explicit RoundTo(int digits) : digits_(digits), power_(std::pow(10.0, digits)) {}

  double operator()(double value) const {
    if (digits_ == 0) return std::nearbyint(value);
    const double scaled = value * power_;
    const double whole = std::nearbyint(scaled);
    // Whole numbers up to 2^53 and the power are exact, so that their quotient is rounded once.
    // Near a tie the product may be on the other side of it.
    const bool is_near_tie = std::fabs(std::fabs(scaled - whole) - 0.5) < 1e-3;
    if (std::fabs(scaled) < 0x1p42 && !is_near_tie) return std::copysign(whole / power_, value);
    if (!std::isfinite(value) || std::fabs(value) >= 0x1p53) return value;
    std::array<char, 64> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                   std::chars_format::fixed, digits_);
    double result = 0;
    std::from_chars(text.data(), end.ptr, result);
    return result;
  }

 private:
  int digits_;
  double power_;
};

template <typename T, typename Apply>
class FloatNode final : public Node {
 public:
  FloatNode(NodePtr child, Apply apply, std::string text)
      : Node(child->type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        apply_(std::move(apply)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    const T* values = in.data<T>();
    T* results = out.template as<T>();
    for (int64_t i = 0; i < in.length; ++i) {
      results[i] = static_cast<T>(apply_(double{values[i]}));
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  Apply apply_;
};

template <typename Apply>
NodePtr make_float(NodePtr child, Apply apply, std::string text) {
  if (child->type().id == TypeId::kFloat32) {
    return std::make_shared<FloatNode<float, Apply>>(std::move(child), apply, std::move(text));
  }
  return std::make_shared<FloatNode<double, Apply>>(std::move(child), apply, std::move(text));
}

class SignNode final : public Node {
 public:
  SignNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kInt64), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    visit_fixed(in.type, [&](auto zero) {
      using T = decltype(zero);
      const T* values = in.data<T>();
      for (int64_t i = 0; i < in.length; ++i) {
        out.as<int64_t>()[i] = int64_t{values[i] > T{0}} - int64_t{values[i] < T{0}};
      }
    });
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
};

template <typename T>
class PowerNode final : public Node {
 public:
  PowerNode(NodePtr base, NodePtr exponent, std::string text)
      : Node(base->type(), base->nullable() || exponent->nullable(), std::move(text)),
        base_(std::move(base)),
        exponent_(std::move(exponent)) {}

  Array compute(const Input& batch) const override {
    const Array a = base_->evaluate(batch);
    const Array b = exponent_->evaluate(batch);
    MutableBuffer out(a.length * static_cast<int64_t>(sizeof(T)));
    for (int64_t i = 0; i < a.length; ++i) {
      out.as<T>()[i] = static_cast<T>(std::pow(double{a.data<T>()[i]}, double{b.data<T>()[i]}));
    }
    return fixed_array(type(), a.length, out.freeze(), both_valid(a, b));
  }

 private:
  NodePtr base_;
  NodePtr exponent_;
};

[[noreturn]] void throw_not_a_number(Function function, const std::string& operand,
                                     const DataType& type, const std::string& text) {
  const bool is_decimal = type.id == TypeId::kDecimal128;
  throw_type_error(text,
                   std::string(name_of(function)) + " takes integers and floats, but " + operand +
                       " is " + type.to_string(),
                   is_decimal ? "Cast it to float64" : "Cast it to a number first");
}

bool is_plain_number(const DataType& type) { return type.is_integer() || type.is_floating(); }

int digits_of(const Expression& literal, const std::string& text) {
  if (const auto* digits = std::get_if<int64_t>(&literal.literal)) {
    if (*digits >= 0 && *digits <= kMaxDigits) return static_cast<int>(*digits);
  }
  throw_type_error(text, literal.to_string() + " is not a number of digits",
                   "Pass an int from 0 to 15");
}

NodePtr as_float(NodePtr child) {
  return child->type().is_floating() ? child
                                     : convert(std::move(child), DataType::of(TypeId::kFloat64));
}

// A literal never widens the type beside it.
NodePtr float_operand(Function function, const Operand& operand, const Operand& other,
                      const std::string& text) {
  if (operand.node) {
    if (is_plain_number(operand.node->type())) return as_float(operand.node);
    throw_not_a_number(function, operand.text(), operand.node->type(), text);
  }
  const bool beside_single = other.node && other.node->type().id == TypeId::kFloat32;
  return literal_as(*operand.literal,
                    DataType::of(beside_single ? TypeId::kFloat32 : TypeId::kFloat64), text);
}

}  // namespace

NodePtr bind_math(Function function, NodePtr child, std::span<const ExpressionPtr> arguments,
                  std::string text) {
  if (!is_plain_number(child->type())) {
    throw_not_a_number(function, child->text(), child->type(), text);
  }
  const int digits = arguments.empty() ? 0 : digits_of(*arguments[0], text);
  const bool is_integer = child->type().is_integer();
  switch (function) {
    case Function::kSign:
      if (is_integer) return std::make_shared<SignNode>(std::move(child), std::move(text));
      return make_float(
          std::move(child), [](double x) { return x > 0   ? 1.0
                                                  : x < 0 ? -1.0
                                                          : x; },
          std::move(text));
    case Function::kRound:
      if (is_integer) return child;
      return make_float(std::move(child), RoundTo(digits), std::move(text));
    case Function::kFloor:
      if (is_integer) return child;
      return make_float(std::move(child), [](double x) { return std::floor(x); }, std::move(text));
    case Function::kCeil:
      if (is_integer) return child;
      return make_float(std::move(child), [](double x) { return std::ceil(x); }, std::move(text));
    case Function::kSqrt:
      return make_float(as_float(child), [](double x) { return std::sqrt(x); }, std::move(text));
    case Function::kLn:
      return make_float(as_float(child), [](double x) { return std::log(x); }, std::move(text));
    case Function::kLog10:
      return make_float(as_float(child), [](double x) { return std::log10(x); }, std::move(text));
    default:
      return make_float(as_float(child), [](double x) { return std::exp(x); }, std::move(text));
  }
}

NodePtr bind_power(Operand base, Operand exponent, std::string text) {
  NodePtr a = float_operand(Function::kPower, base, exponent, text);
  NodePtr b = float_operand(Function::kPower, exponent, base, text);
  if (a->type().id == TypeId::kFloat32 && b->type().id == TypeId::kFloat32) {
    return std::make_shared<PowerNode<float>>(std::move(a), std::move(b), std::move(text));
  }
  const DataType float64 = DataType::of(TypeId::kFloat64);
  return std::make_shared<PowerNode<double>>(convert(std::move(a), float64),
                                             convert(std::move(b), float64), std::move(text));
}

}  // namespace pystream::expressions::detail
