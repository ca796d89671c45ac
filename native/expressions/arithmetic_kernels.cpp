// The loops of binary arithmetic: one per operation, pair of computing types, and shape.

#include <type_traits>

#include "expressions/detail/arithmetic_ops.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

// A kernel reads a column through `left` or `right`, or, where that side is a constant, one value.
struct Kernel {
  // Returns true when some row failed, perhaps one whose value does not count because it is null.
  bool (*run)(const void* left, const void* right, int64_t rows, void* out);
  // Why row `row` fails; empty when it does not.
  std::string (*explain)(const void* left, const void* right, int64_t row);
};

template <typename Op, typename L, typename R, typename Out>
bool loop(L left, R right, int64_t rows, Out* __restrict out) {
  int64_t bad = 0;
  for (int64_t i = 0; i < rows; ++i) out[i] = Op::apply(left[i], right[i], bad);
  return bad < 0;
}

template <typename T>
T side(const void* at) {
  using Value = typename T::Value;
  if constexpr (std::is_same_v<T, Column<Value>>) {
    return {static_cast<const Value*>(at)};
  } else {
    return {*static_cast<const Value*>(at)};
  }
}

// Division and fmod do not vectorize, and neither does 128-bit arithmetic.
template <typename Op, typename A, typename B>
constexpr bool kGainsFromVectors =
    std::is_same_v<A, B> && (std::is_same_v<Op, Add> || std::is_same_v<Op, Subtract> ||
                             (std::is_floating_point_v<A> && !std::is_same_v<Op, FloorDivide> &&
                              !std::is_same_v<Op, Modulo>));

template <typename Op, typename L, typename R>
bool run(const void* left, const void* right, int64_t rows, void* out) {
  using A = typename L::Value;
  using B = typename R::Value;
  using Out = decltype(Op::apply(A{}, B{}, std::declval<int64_t&>()));
  constexpr auto kLoop = &loop<Op, L, R, Out>;
  if constexpr (kGainsFromVectors<Op, A, B>) {
    return vectorized<kLoop>(side<L>(left), side<R>(right), rows, static_cast<Out*>(out));
  } else {
    return kLoop(side<L>(left), side<R>(right), rows, static_cast<Out*>(out));
  }
}

template <typename Op, typename L, typename R>
std::string explain(const void* left, const void* right, int64_t row) {
  const auto a = side<L>(left)[row];
  const auto b = side<R>(right)[row];
  int64_t bad = 0;
  const auto result = Op::apply(a, b, bad);
  if (bad >= 0) return {};
  if (b == 0 && !std::is_same_v<Op, Add> && !std::is_same_v<Op, Subtract>) {
    return "division of " + number_text(a) + " by zero";
  }
  const char* symbol = std::is_same_v<Op, Add>        ? " + "
                       : std::is_same_v<Op, Subtract> ? " - "
                       : std::is_same_v<Op, Multiply> ? " * "
                                                      : " // ";
  return "integer overflow: " + number_text(a) + symbol + number_text(b) + " does not fit " +
         (std::is_same_v<decltype(result), const uint64_t> ? "uint64" : "int64");
}

template <typename Op, typename A, typename B>
Kernel kernel_of_shape(bool left_is_constant, bool right_is_constant) {
  if (left_is_constant) {
    return {&run<Op, Repeated<A>, Column<B>>, &explain<Op, Repeated<A>, Column<B>>};
  }
  if (right_is_constant) {
    return {&run<Op, Column<A>, Repeated<B>>, &explain<Op, Column<A>, Repeated<B>>};
  }
  return {&run<Op, Column<A>, Column<B>>, &explain<Op, Column<A>, Column<B>>};
}

template <typename Op>
Kernel kernel_of_types(const DataType& left, const DataType& right, bool left_is_constant,
                       bool right_is_constant) {
  if (left.id == TypeId::kFloat32) {
    return kernel_of_shape<Op, float, float>(left_is_constant, right_is_constant);
  }
  if (left.id == TypeId::kFloat64) {
    return kernel_of_shape<Op, double, double>(left_is_constant, right_is_constant);
  }
  const bool left_unsigned = left.id == TypeId::kUInt64;
  const bool right_unsigned = right.id == TypeId::kUInt64;
  if (left_unsigned && right_unsigned) {
    return kernel_of_shape<Op, uint64_t, uint64_t>(left_is_constant, right_is_constant);
  }
  if (left_unsigned) {
    return kernel_of_shape<Op, uint64_t, int64_t>(left_is_constant, right_is_constant);
  }
  if (right_unsigned) {
    return kernel_of_shape<Op, int64_t, uint64_t>(left_is_constant, right_is_constant);
  }
  return kernel_of_shape<Op, int64_t, int64_t>(left_is_constant, right_is_constant);
}

Kernel find_kernel(Function function, const DataType& left, const DataType& right,
                   bool left_is_constant, bool right_is_constant) {
  switch (function) {
    case Function::kAdd:
      return kernel_of_types<Add>(left, right, left_is_constant, right_is_constant);
    case Function::kSubtract:
      return kernel_of_types<Subtract>(left, right, left_is_constant, right_is_constant);
    case Function::kMultiply:
      return kernel_of_types<Multiply>(left, right, left_is_constant, right_is_constant);
    case Function::kDivide:
      return kernel_of_types<Divide>(left, right, left_is_constant, right_is_constant);
    case Function::kFloorDivide:
      return kernel_of_types<FloorDivide>(left, right, left_is_constant, right_is_constant);
    default:
      return kernel_of_types<Modulo>(left, right, left_is_constant, right_is_constant);
  }
}

class ArithmeticNode final : public Node {
 public:
  ArithmeticNode(Function function, NodePtr left, NodePtr right, DataType type, std::string text)
      : Node(std::move(type), left->nullable() || right->nullable(), std::move(text)),
        left_(std::move(left)),
        right_(std::move(right)) {
    // Of two constants the left one is spread to a column.
    right_is_constant_ = right_->constant() != nullptr;
    left_is_constant_ = left_->constant() != nullptr && !right_is_constant_;
    if (left_is_constant_) store_constant(*left_->constant(), left_->type(), &scalar_);
    if (right_is_constant_) store_constant(*right_->constant(), right_->type(), &scalar_);
    kernel_ =
        find_kernel(function, left_->type(), right_->type(), left_is_constant_, right_is_constant_);
  }

  Array compute(const Input& batch) const override {
    Array left;
    Array right;
    if (!left_is_constant_) left = left_->evaluate(batch);
    if (!right_is_constant_) right = right_->evaluate(batch);
    const int64_t rows = batch.num_rows;
    const void* left_values = input(left, left_is_constant_);
    const void* right_values = input(right, right_is_constant_);
    MutableBuffer out(rows * type().byte_width());
    const Validity validity = left_is_constant_    ? validity_of(right)
                              : right_is_constant_ ? validity_of(left)
                                                   : both_valid(left, right);
    if (kernel_.run(left_values, right_values, rows, out.data())) {
      check(left_values, right_values, rows, validity);
    }
    return fixed_array(type(), rows, out.freeze(), validity);
  }

 private:
  const void* input(const Array& column, bool is_constant) const {
    if (is_constant) return &scalar_;
    return column.values.data;
  }

  void check(const void* left, const void* right, int64_t rows, const Validity& validity) const {
    for (int64_t row = 0; row < rows; ++row) {
      if (validity.null_count > 0 && !get_bit(validity.bits.data, row)) continue;
      const std::string problem = kernel_.explain(left, right, row);
      if (problem.empty()) continue;
      throw_row_error(text(), row, problem,
                      problem.starts_with("division")
                          ? "Filter such rows out, or cast to float64, which gives inf or nan"
                          : "Cast to float64 first where an approximate result will do");
    }
  }

  NodePtr left_;
  NodePtr right_;
  bool left_is_constant_ = false;
  bool right_is_constant_ = false;
  uint64_t scalar_ = 0;
  Kernel kernel_{};
};

}  // namespace

NodePtr make_arithmetic(Function function, NodePtr left, NodePtr right, DataType result,
                        std::string text) {
  if (is_null_constant(*left) || is_null_constant(*right)) {
    return make_constant(std::move(result), {}, std::move(text));
  }
  return std::make_shared<ArithmeticNode>(function, std::move(left), std::move(right),
                                          std::move(result), std::move(text));
}

}  // namespace pystream::expressions::detail
