#include "runtime/batch_skip.hpp"

#include <bit>
#include <memory>
#include <utility>

namespace pystream::runtime {

using expressions::Expression;
using expressions::Function;

namespace {

bool is_column(const Expression& expression) {
  return expression.kind == Expression::Kind::kColumn;
}

bool is_comparison_with_literal(const Expression& expression) {
  if (expression.kind != Expression::Kind::kCall || expression.arguments.size() != 2) return false;
  const Expression& left = *expression.arguments[0];
  const Expression& right = *expression.arguments[1];
  const auto is_literal = [](const Expression& side) {
    return side.kind == Expression::Kind::kLiteral;
  };
  return (is_column(left) && is_literal(right)) || (is_literal(left) && is_column(right));
}

template <typename T>
Array two_values(const DataType& type, T minimum, T maximum) {
  Array array;
  array.type = type;
  array.length = 2;
  MutableBuffer values(2 * static_cast<int64_t>(sizeof(T)));
  values.as<T>()[0] = minimum;
  values.as<T>()[1] = maximum;
  array.values = values.freeze();
  return array;
}

template <typename T>
Array two_integers(const DataType& type, const storage::ColumnStatistics& bounds) {
  return two_values(type, static_cast<T>(bounds.minimum), static_cast<T>(bounds.maximum));
}

template <typename T>
Array two_floats(const DataType& type, const storage::ColumnStatistics& bounds) {
  return two_values(type, static_cast<T>(std::bit_cast<double>(bounds.minimum)),
                    static_cast<T>(std::bit_cast<double>(bounds.maximum)));
}

Array minimum_and_maximum(const DataType& type, const storage::ColumnStatistics& bounds) {
  if (type.id == TypeId::kFloat32) return two_floats<float>(type, bounds);
  if (type.id == TypeId::kFloat64) return two_floats<double>(type, bounds);
  switch (type.byte_width()) {
    case 1:
      return two_integers<uint8_t>(type, bounds);
    case 2:
      return two_integers<uint16_t>(type, bounds);
    case 4:
      return two_integers<uint32_t>(type, bounds);
    default:
      return two_integers<uint64_t>(type, bounds);
  }
}

bool has_bounds(const DataType& type) {
  return !type.is_dictionary && (type.is_integer() || type.is_floating() || type.is_temporal());
}

std::shared_ptr<Expression> with_function(const Expression& comparison, Function function) {
  auto changed = std::make_shared<Expression>(comparison);
  changed->function = function;
  return changed;
}

}  // namespace

bool BatchSkip::add_tests(const Expression& condition, const Schema& schema,
                          std::vector<Test>* tests, std::set<const Expression*>* seen) {
  if (!seen->insert(&condition).second) return true;  // it stands in several places
  if (condition.kind == Expression::Kind::kCall && condition.function == Function::kAnd) {
    for (const auto& argument : condition.arguments) {
      if (!add_tests(*argument, schema, tests, seen)) return false;
    }
    return true;
  }
  if (!is_comparison_with_literal(condition)) return false;
  const Expression& left = *condition.arguments[0];
  const Expression& column = is_column(left) ? left : *condition.arguments[1];
  const int index = schema.index_of(column.column);
  const Field& field = schema.fields[static_cast<size_t>(index)];
  if (!has_bounds(field.type)) return false;
  const auto alone = std::make_shared<Schema>(Schema{{field}});
  const auto add = [&](const Expression& test) {
    tests->push_back({index, alone, expressions::bind(test, *alone)});
  };
  switch (condition.function) {
    case Function::kLess:
    case Function::kLessEqual:
    case Function::kGreater:
    case Function::kGreaterEqual:
      add(condition);
      return true;
    case Function::kEqual:  // <= and >=, each of which is monotone
      add(*with_function(condition, Function::kLessEqual));
      add(*with_function(condition, Function::kGreaterEqual));
      return true;
    default:
      return false;
  }
}

std::optional<BatchSkip> BatchSkip::of(const Expression& condition, const SchemaPtr& schema) {
  BatchSkip skip;
  std::set<const Expression*> seen;
  if (!add_tests(condition, *schema, &skip.tests_, &seen)) return std::nullopt;
  return skip;
}

bool BatchSkip::can_skip(const ColumnBounds& bounds) const {
  for (const Test& test : tests_) {
    const auto known = bounds(test.column);
    if (!known || !known->has_min_max) continue;
    const Array values = minimum_and_maximum(test.schema->fields[0].type, *known);
    const Array passes = test.condition->evaluate({test.schema, 2, {values}});
    const auto is_true = [&](int64_t row) {
      return passes.is_valid(row) && get_bit(passes.values.data, row);
    };
    if (!is_true(0) && !is_true(1)) return true;
  }
  return false;
}

}  // namespace pystream::runtime
