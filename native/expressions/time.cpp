// Arithmetic of times, and truncation. Mixed units meet in the finer one, so nothing is rounded.

#include <algorithm>

#include "expressions/detail/arithmetic_ops.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {
namespace {

DataType duration(TimeUnit unit) {
  DataType type = DataType::of(TypeId::kDuration);
  type.unit = unit;
  return type;
}

TimeUnit unit_of(const DataType& type) {
  return type.id == TypeId::kDate32 ? TimeUnit::kSecond : type.unit;
}

// The literal as `kind` in the coarsest unit that holds it exactly, but none coarser than `unit`:
// a literal of whole milliseconds leaves a column of milliseconds as it is.
NodePtr time_literal(const Expression& literal, TypeId kind, TimeUnit unit,
                     const std::string& text) {
  DataType type = DataType::of(kind);
  for (auto step = static_cast<uint8_t>(unit); step < static_cast<uint8_t>(TimeUnit::kNano);
       ++step) {
    type.unit = static_cast<TimeUnit>(step);
    const Bracket found = bracket(literal, type, text);
    if (found.exact) return make_constant(type, *found.below, literal.to_string());
  }
  type.unit = TimeUnit::kNano;
  return literal_as(literal, type, text);
}

// What a literal is beside a time: a number stays a number, text is a duration or a time.
NodePtr adapt(const Operand& operand, const DataType& other, const std::string& text) {
  if (operand.node) return operand.node;
  const Expression& literal = *operand.literal;
  const TimeUnit unit = unit_of(other);
  if (is_null_literal(literal)) {
    return make_constant(duration(unit), {}, literal.to_string());
  }
  const DataType natural = natural_type(literal);
  if (natural.id == TypeId::kString) {
    const bool is_duration = parse_duration(std::get<std::string>(literal.literal)).has_value();
    return time_literal(literal, is_duration ? TypeId::kDuration : TypeId::kTimestamp, unit, text);
  }
  if (natural.id == TypeId::kDuration || natural.id == TypeId::kTimestamp) {
    return time_literal(literal, natural.id, unit, text);
  }
  return literal_as(literal, natural, text);
}

bool is_instant(const NodePtr& node) {
  return node->type().id == TypeId::kTimestamp || node->type().id == TypeId::kDate32;
}
bool is_duration(const NodePtr& node) { return node->type().id == TypeId::kDuration; }

// The type of an instant in `unit`; a date becomes the timestamp of its midnight in UTC.
DataType instant_type(const DataType& type, TimeUnit unit) {
  return DataType::timestamp(unit, type.timezone);
}

TimeUnit finer(const NodePtr& a, const NodePtr& b) {
  return std::max(unit_of(a->type()), unit_of(b->type()));
}

NodePtr instant_arithmetic(Function function, NodePtr a, NodePtr b, const std::string& text) {
  const TimeUnit unit = finer(a, b);
  if (function == Function::kSubtract && is_instant(a) && is_instant(b)) {
    return make_arithmetic(function, convert(a, instant_type(a->type(), unit)),
                           convert(b, instant_type(b->type(), unit)), duration(unit), text);
  }
  if ((function == Function::kAdd || function == Function::kSubtract) && is_instant(a) &&
      is_duration(b)) {
    const DataType type = instant_type(a->type(), unit);
    return make_arithmetic(function, convert(a, type), convert(b, duration(unit)), type, text);
  }
  if (function == Function::kAdd && is_duration(a) && is_instant(b)) {
    const DataType type = instant_type(b->type(), unit);
    return make_arithmetic(function, convert(a, duration(unit)), convert(b, type), type, text);
  }
  return nullptr;
}

NodePtr duration_arithmetic(Function function, NodePtr a, NodePtr b, const std::string& text) {
  const DataType int64 = DataType::of(TypeId::kInt64);
  if (is_duration(a) && is_duration(b)) {
    if (function == Function::kMultiply) return nullptr;
    const DataType type = duration(finer(a, b));
    const DataType result = function == Function::kDivide        ? DataType::of(TypeId::kFloat64)
                            : function == Function::kFloorDivide ? int64
                                                                 : type;
    return make_arithmetic(function, convert(a, type), convert(b, type), result, text);
  }
  const auto is_count = [](const NodePtr& node) {
    return node->type().is_integer() && node->type().id != TypeId::kUInt64;
  };
  if (function == Function::kMultiply && is_duration(a) && is_count(b)) {
    return make_arithmetic(function, a, convert(b, int64), a->type(), text);
  }
  if (function == Function::kMultiply && is_count(a) && is_duration(b)) {
    return make_arithmetic(function, convert(a, int64), b, b->type(), text);
  }
  if (function == Function::kFloorDivide && is_duration(a) && is_count(b)) {
    return make_arithmetic(function, a, convert(b, int64), a->type(), text);
  }
  return nullptr;
}

// floor(value / step) * step. Times of neighbouring rows mostly share a multiple, so the division
// is left out while they do.
template <typename T>
class TruncateNode final : public Node {
 public:
  TruncateNode(NodePtr child, T step, std::string text)
      : Node(child->type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        step_(step) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    const T* values = in.data<T>();
    T* results = out.template as<T>();
    T start = 0;
    bool bad = false;
    for (int64_t i = 0; i < in.length; ++i) {
      const T value = values[i];
      // The subtraction is unsigned: it cannot overflow once value >= start.
      if (value < start || static_cast<uint64_t>(value) - static_cast<uint64_t>(start) >=
                               static_cast<uint64_t>(step_)) {
        start = floor(value);
        if (start > value) {
          bad = true;
          start = 0;
        }
      }
      results[i] = start;
    }
    if (bad) check(in);
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  // Greater than `value` when the multiple lies below the least T.
  T floor(T value) const {
    T rest = static_cast<T>(value % step_);
    if constexpr (std::is_signed_v<T>) {
      if (rest < 0) rest = static_cast<T>(rest + step_);
    }
    return static_cast<T>(static_cast<uint64_t>(value) - static_cast<uint64_t>(rest));
  }

  void check(const Array& in) const {
    for (int64_t row = 0; row < in.length; ++row) {
      const T value = in.data<T>()[row];
      if (floor(value) > value && in.is_valid(row)) {
        throw_truncate_error(*this, row, static_cast<int64_t>(value));
      }
    }
  }

  NodePtr child_;
  T step_;
};

}  // namespace

NodePtr bind_time_arithmetic(Function function, Operand left, Operand right, std::string text) {
  const DataType& known = left.node    ? left.node->type()
                          : right.node ? right.node->type()
                                       : left.literal->literal_type;
  NodePtr a = adapt(left, right.node ? right.node->type() : known, text);
  NodePtr b = adapt(right, left.node ? left.node->type() : known, text);
  NodePtr result = is_instant(a) || is_instant(b) ? instant_arithmetic(function, a, b, text)
                                                  : duration_arithmetic(function, a, b, text);
  if (result) return result;
  throw_type_error(text,
                   "this operation does not take " + left.describe() + " and " + right.describe(),
                   "Times take: time - time, time + duration, time - duration; durations take + - "
                   "* // with durations or whole numbers");
}

void throw_truncate_error(const Node& node, int64_t row, int64_t value) {
  throw_row_error(node.text(), row,
                  "integer overflow: the multiple below " + number_text(value) + " does not fit " +
                      node.type().to_string(),
                  "Filter out times so far in the past");
}

NodePtr bind_truncate(NodePtr child, const Expression& step, std::string text) {
  if (const auto* unit = std::get_if<std::string>(&step.literal)) {
    if (NodePtr node = bind_calendar_truncate(child, *unit, text)) return node;
  }
  DataType type = child->type();
  if (!type.is_temporal() && !type.is_integer()) {
    throw_type_error(text, "truncate takes times, but " + child->text() + " is " + type.to_string(),
                     "Cast it to a timestamp first");
  }
  if (type.is_integer()) {
    type = DataType::of(type.id == TypeId::kUInt64 ? TypeId::kUInt64 : TypeId::kInt64);
    child = convert(child, type);
  }
  DataType step_type = type.is_temporal() ? duration(unit_of(type)) : type;
  const bool in_ticks = std::holds_alternative<int64_t>(step.literal) && !step.has_literal_type;
  const bool in_days = type.id == TypeId::kDate32 && !in_ticks;
  if (step.kind != Expression::Kind::kLiteral || is_null_literal(step)) {
    throw_type_error(text, step.to_string() + " is not a duration",
                     "Pass a literal, for example truncate(\"1h\")");
  }
  __int128 every = literal_as(step, step_type, text)->constant()->number<__int128>();
  if (in_days) {
    if (every % kSecondsPerDay != 0) {
      throw_type_error(text, step.to_string() + " is not a whole number of days",
                       "Cast the date to a timestamp first");
    }
    every /= kSecondsPerDay;
  }
  if (every <= 0 || every > integer_range(type).second) {
    throw_type_error(text, step.to_string() + " is not a positive duration",
                     "Pass one, for example truncate(\"1h\")");
  }
  if (type.id == TypeId::kDate32) {
    return std::make_shared<TruncateNode<int32_t>>(child, static_cast<int32_t>(every), text);
  }
  if (type.id == TypeId::kUInt64) {
    return std::make_shared<TruncateNode<uint64_t>>(child, static_cast<uint64_t>(every), text);
  }
  return std::make_shared<TruncateNode<int64_t>>(child, static_cast<int64_t>(every), text);
}

}  // namespace pystream::expressions::detail
