// Types of arithmetic: whole numbers compute in int64, or in uint64 when both sides are uint64;
// floats in float64, or in float32 when both sides are.

#include "expressions/detail/arithmetic_ops.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"

namespace pystream::expressions::detail {
namespace {

const char* symbol_of(Function function) {
  switch (function) {
    case Function::kAdd:
      return "+";
    case Function::kSubtract:
      return "-";
    case Function::kMultiply:
      return "*";
    case Function::kDivide:
      return "/";
    case Function::kFloorDivide:
      return "//";
    default:
      return "%";
  }
}

// The type that a literal computes in beside `other`: a Python number never widens a column.
DataType literal_type_beside(const Expression& literal, const DataType& other) {
  if (is_null_literal(literal)) return other.is_numeric() ? other : DataType::of(TypeId::kInt64);
  if (literal.has_literal_type) return literal.literal_type;
  if (const auto* value = std::get_if<int64_t>(&literal.literal)) {
    if (other.is_floating()) return other;
    const bool natural = other.id == TypeId::kUInt64 && *value >= 0;
    return DataType::of(natural ? TypeId::kUInt64 : TypeId::kInt64);
  }
  if (std::holds_alternative<double>(literal.literal)) {
    return DataType::of(other.id == TypeId::kFloat32 ? TypeId::kFloat32 : TypeId::kFloat64);
  }
  return natural_type(literal);
}

NodePtr adapt(const Operand& operand, const DataType& other, const std::string& text) {
  if (operand.node) return operand.node;
  return literal_as(*operand.literal, literal_type_beside(*operand.literal, other), text);
}

bool is_temporal(const Operand& operand) {
  return operand.node
             ? operand.node->type().is_temporal()
             : operand.literal->has_literal_type && operand.literal->literal_type.is_temporal();
}

bool is_decimal(const Operand& operand) {
  const DataType& type = operand.node ? operand.node->type() : operand.literal->literal_type;
  return (operand.node || operand.literal->has_literal_type) && type.id == TypeId::kDecimal128;
}

DataType computing_type(const DataType& type) {
  return type.is_integer() && type.id != TypeId::kUInt64 ? DataType::of(TypeId::kInt64) : type;
}

template <typename Op, typename T>
class UnaryNode final : public Node {
 public:
  UnaryNode(NodePtr child, DataType type, std::string text)
      : Node(std::move(type), child->nullable(), std::move(text)), child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    using Out = decltype(Op::apply(T{}, std::declval<int64_t&>()));
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(Out)));
    const T* values = in.data<T>();
    Out* results = out.template as<Out>();
    int64_t bad = 0;
    for (int64_t i = 0; i < in.length; ++i) results[i] = Op::apply(values[i], bad);
    if (bad < 0) check(in);
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  void check(const Array& in) const {
    for (int64_t row = 0; row < in.length; ++row) {
      int64_t bad = 0;
      Op::apply(in.data<T>()[row], bad);
      if (bad < 0 && in.is_valid(row)) {
        throw_row_error(text(), row,
                        "integer overflow: the result for " + number_text(in.data<T>()[row]) +
                            " does not fit int64",
                        "Cast to float64 first where an approximate result will do");
      }
    }
  }

  NodePtr child_;
};

void check_numeric(const NodePtr& child, const std::string& name, const std::string& text) {
  const DataType& type = child->type();
  if (type.is_numeric() || type.id == TypeId::kDuration) return;
  throw_type_error(text, name + " does not take " + type.to_string() + " (" + child->text() + ")",
                   "It takes numbers and durations");
}

}  // namespace

NodePtr bind_arithmetic(Function function, Operand left, Operand right, std::string text) {
  if (is_temporal(left) || is_temporal(right)) {
    return bind_time_arithmetic(function, std::move(left), std::move(right), std::move(text));
  }
  if (function == Function::kAdd && is_concat(left, right)) {
    return bind_concat(std::move(left), std::move(right), std::move(text));
  }
  if (is_decimal(left) || is_decimal(right)) {
    return bind_decimal_arithmetic(function, left, right, std::move(text));
  }
  const DataType left_alone = left.node                        ? left.node->type()
                              : is_null_literal(*left.literal) ? DataType::of(TypeId::kInt64)
                                                               : natural_type(*left.literal);
  NodePtr b = adapt(right, left_alone, text);
  NodePtr a = adapt(left, b->type(), text);
  if (!a->type().is_numeric() || !b->type().is_numeric()) {
    throw_type_error(text,
                     std::string(symbol_of(function)) + " does not take " + left.describe() +
                         " and " + right.describe(),
                     "Arithmetic takes numbers and times; cast the other side first");
  }
  if (a->type().is_floating() || b->type().is_floating()) {
    const bool both_single = a->type().id == TypeId::kFloat32 && b->type().id == TypeId::kFloat32;
    const DataType type = DataType::of(both_single ? TypeId::kFloat32 : TypeId::kFloat64);
    return make_arithmetic(function, convert(a, type), convert(b, type), type, std::move(text));
  }
  a = convert(a, computing_type(a->type()));
  b = convert(b, computing_type(b->type()));
  DataType result = DataType::of(TypeId::kInt64);
  if (a->type().id == TypeId::kUInt64 && b->type().id == TypeId::kUInt64) result = a->type();
  if (function == Function::kDivide) result = DataType::of(TypeId::kFloat64);
  return make_arithmetic(function, std::move(a), std::move(b), std::move(result), std::move(text));
}

NodePtr bind_negate(NodePtr child, std::string text) {
  check_numeric(child, "-", text);
  if (child->type().id == TypeId::kDecimal128) {
    return bind_decimal_sign(true, std::move(child), std::move(text));
  }
  const DataType type = computing_type(child->type());
  child = convert(std::move(child), type);
  switch (type.id) {
    case TypeId::kFloat32:
      return std::make_shared<UnaryNode<Negate, float>>(child, type, std::move(text));
    case TypeId::kFloat64:
      return std::make_shared<UnaryNode<Negate, double>>(child, type, std::move(text));
    case TypeId::kUInt64:
      return std::make_shared<UnaryNode<Negate, uint64_t>>(child, DataType::of(TypeId::kInt64),
                                                           std::move(text));
    default:
      return std::make_shared<UnaryNode<Negate, int64_t>>(child, type, std::move(text));
  }
}

NodePtr bind_absolute(NodePtr child, std::string text) {
  check_numeric(child, "abs", text);
  if (child->type().id == TypeId::kDecimal128) {
    return bind_decimal_sign(false, std::move(child), std::move(text));
  }
  const DataType type = computing_type(child->type());
  child = convert(std::move(child), type);
  switch (type.id) {
    case TypeId::kFloat32:
      return std::make_shared<UnaryNode<Absolute, float>>(child, type, std::move(text));
    case TypeId::kFloat64:
      return std::make_shared<UnaryNode<Absolute, double>>(child, type, std::move(text));
    case TypeId::kUInt64:
      return child;
    default:
      return std::make_shared<UnaryNode<Absolute, int64_t>>(child, type, std::move(text));
  }
}

}  // namespace pystream::expressions::detail
