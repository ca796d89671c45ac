// Types of comparisons. Numbers and times compare by value, exactly, whatever their types; other
// kinds only with their own.

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/comparison_kernels.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"

namespace pystream::expressions::detail {
namespace {

DataType bool_type() { return DataType::of(TypeId::kBool); }

class CompareNode final : public Node {
 public:
  // `right` is null when the kernel holds a constant.
  CompareNode(NodePtr left, NodePtr right, CompareKernel kernel, std::string text)
      : Node(bool_type(), left->nullable() || (right && right->nullable()), std::move(text)),
        left_(std::move(left)),
        right_(std::move(right)),
        kernel_(std::move(kernel)) {}

  Array compute(const Input& batch) const override {
    const Array left = left_->evaluate(batch);
    Array right;
    Validity validity = validity_of(left);
    if (right_) {
      right = right_->evaluate(batch);
      validity = both_valid(left, right);
    }
    MutableBuffer out(bitmap_bytes(left.length));
    kernel_(left, right, left.length, out.as<uint64_t>());
    return bool_array(left.length, out.freeze(), std::move(validity));
  }

 private:
  NodePtr left_;
  NodePtr right_;
  CompareKernel kernel_;
};

// false < true.
class BoolCompareNode final : public Node {
 public:
  BoolCompareNode(Function function, NodePtr left, NodePtr right, std::string text)
      : Node(bool_type(), left->nullable() || right->nullable(), std::move(text)),
        function_(function),
        left_(std::move(left)),
        right_(std::move(right)) {}

  Array compute(const Input& batch) const override {
    const Array left = left_->evaluate(batch);
    const Array right = right_->evaluate(batch);
    const int64_t rows = left.length;
    const BitmapReader a(left.values.data, rows);
    const BitmapReader b(right.values.data, rows);
    const auto bits = [&](auto word) {
      return make_bitmap(rows, [&](int64_t i) { return word(a.word(i), b.word(i)); });
    };
    return bool_array(rows, compare(bits), both_valid(left, right));
  }

 private:
  template <typename Bits>
  Buffer compare(const Bits& bits) const {
    using Word = uint64_t;
    switch (function_) {
      case Function::kEqual:
        return bits([](Word x, Word y) { return ~(x ^ y); });
      case Function::kNotEqual:
        return bits([](Word x, Word y) { return x ^ y; });
      case Function::kLess:
        return bits([](Word x, Word y) { return ~x & y; });
      case Function::kLessEqual:
        return bits([](Word x, Word y) { return ~x | y; });
      case Function::kGreater:
        return bits([](Word x, Word y) { return x & ~y; });
      default:
        return bits([](Word x, Word y) { return x | ~y; });
    }
  }

  Function function_;
  NodePtr left_;
  NodePtr right_;
};

NodePtr make_compare(NodePtr left, NodePtr right, CompareKernel kernel, std::string text) {
  return std::make_shared<CompareNode>(std::move(left), std::move(right), std::move(kernel),
                                       std::move(text));
}

NodePtr compare_with_literal(Function function, NodePtr node, const Expression& literal,
                             std::string text) {
  if (is_null_literal(literal)) return make_constant(bool_type(), {}, std::move(text));
  const DataType& type = node->type();
  const Bracket at = bracket(literal, type, text);
  if (at.unordered || (!at.exact && function <= Function::kNotEqual)) {
    return std::make_shared<SameUnlessNullNode>(std::move(node), function == Function::kNotEqual,
                                                std::move(text));
  }
  std::optional<Constant> constant = at.below;
  if (!at.exact) {
    const bool less = function == Function::kLess || function == Function::kLessEqual;
    constant = less ? at.below : at.above;
    function = less ? Function::kLessEqual : Function::kGreaterEqual;
    if (!constant) {
      return std::make_shared<SameUnlessNullNode>(std::move(node), false, std::move(text));
    }
  }
  if (type.is_bool()) {
    NodePtr right = make_constant(type, *constant, literal.to_string());
    return std::make_shared<BoolCompareNode>(function, node, right, std::move(text));
  }
  if (type.is_var_binary()) {
    NodePtr right = make_constant(type, *constant, literal.to_string());
    return make_string_comparison(function, node, right, std::move(text));
  }
  CompareKernel kernel = type.id == TypeId::kDecimal128
                             ? compare_decimal_constant(function, type, *constant)
                             : compare_constant(function, type, *constant);
  return make_compare(std::move(node), nullptr, std::move(kernel), std::move(text));
}

// The type in which two integer columns meet without loss: int64, or uint64 for large unsigned.
DataType widened(const DataType& type) {
  return DataType::of(type.id == TypeId::kUInt64 ? TypeId::kUInt64 : TypeId::kInt64);
}

NodePtr compare_numbers(Function function, NodePtr left, NodePtr right, std::string text) {
  const DataType a = left->type();
  const DataType b = right->type();
  if (a.id == TypeId::kDecimal128 || b.id == TypeId::kDecimal128) {
    if (a.is_floating() || b.is_floating()) {
      throw Error(ErrorCode::kNotSupported,
                  text + ": comparing " + a.to_string() + " with " + b.to_string() +
                      " is not supported. Cast the decimal to float64 first.",
                  {{"expression", text}});
    }
    if (a.is_integer()) left = convert(left, widened(a));
    if (b.is_integer()) right = convert(right, widened(b));
    CompareKernel kernel = compare_decimals(function, left->type(), right->type());
    return make_compare(left, right, std::move(kernel), std::move(text));
  }
  if (a.id != b.id) {
    const DataType float64 = DataType::of(TypeId::kFloat64);
    const bool floating = a.is_floating() || b.is_floating();
    // Integers of up to 32 bits are doubles without loss; wider ones are compared as they are.
    const auto meet = [&](NodePtr node) {
      const DataType& type = node->type();
      const bool wide = type.is_integer() && type.byte_width() == 8;
      return floating && !wide ? convert(node, float64) : convert(node, widened(type));
    };
    left = meet(std::move(left));
    right = meet(std::move(right));
    const bool exchange = (left->type().is_floating() && !right->type().is_floating()) ||
                          (left->type().id == TypeId::kUInt64 && right->type().is_signed_integer());
    if (exchange) {
      std::swap(left, right);
      function = mirrored(function);
    }
  }
  CompareKernel kernel = compare_columns(function, left->type(), right->type());
  return make_compare(left, right, std::move(kernel), std::move(text));
}

NodePtr compare_temporal(Function function, NodePtr left, NodePtr right, std::string text) {
  if (left->type().id != right->type().id) {
    // A date is the timestamp of its midnight in UTC.
    const DataType seconds = DataType::timestamp(TimeUnit::kSecond);
    if (left->type().id == TypeId::kDate32) left = convert(left, seconds);
    if (right->type().id == TypeId::kDate32) right = convert(right, seconds);
  }
  const bool same = left->type().id == TypeId::kDate32 || left->type().unit == right->type().unit;
  CompareKernel kernel = same ? compare_columns(function, left->type(), right->type())
                              : compare_times(function, left->type(), right->type());
  return make_compare(left, right, std::move(kernel), std::move(text));
}

bool is_instant(const DataType& type) {
  return type.id == TypeId::kTimestamp || type.id == TypeId::kDate32;
}

}  // namespace

NodePtr bind_comparison(Function function, Operand left, Operand right, std::string text) {
  if (left.literal && (right.node || is_null_literal(*left.literal))) {
    std::swap(left, right);
    function = mirrored(function);
  }
  if (left.literal && is_null_literal(*left.literal)) {
    return make_constant(bool_type(), {}, std::move(text));
  }
  NodePtr a = resolve(left);
  if (right.literal) return compare_with_literal(function, a, *right.literal, std::move(text));
  NodePtr b = right.node;
  const DataType& x = a->type();
  const DataType& y = b->type();
  if (x.is_numeric() && y.is_numeric()) return compare_numbers(function, a, b, std::move(text));
  if ((is_instant(x) && is_instant(y)) ||
      (x.id == TypeId::kDuration && y.id == TypeId::kDuration)) {
    return compare_temporal(function, a, b, std::move(text));
  }
  if (x.is_bool() && y.is_bool()) {
    return std::make_shared<BoolCompareNode>(function, a, b, std::move(text));
  }
  if (x.is_var_binary() && x.id == y.id) {
    return make_string_comparison(function, a, b, std::move(text));
  }
  throw_type_error(text,
                   "cannot compare " + a->text() + " (" + x.to_string() + ") with " + b->text() +
                       " (" + y.to_string() + ")",
                   "Cast one side to the type of the other");
}

}  // namespace pystream::expressions::detail
