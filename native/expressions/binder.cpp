// From the tree that the user wrote to typed nodes: names become column indexes, and every call
// goes to its family.

#include <algorithm>
#include <numeric>
#include <set>

#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"

namespace pystream::expressions {
namespace detail {
namespace {

class ColumnNode final : public Node {
 public:
  ColumnNode(int index, const Field& field, std::string text)
      : Node(field.type, field.nullable, std::move(text)), index_(index) {}

  Array evaluate(const RecordBatch& batch) const override {
    const Array& column = batch.columns[static_cast<size_t>(index_)];
    // Kernels of fixed-width types read values; those of strings read either encoding.
    if (column.is_encoded() && !type().is_var_binary()) return decode_dictionary(column);
    return column;
  }

 private:
  int index_;
};

// Levenshtein's distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

[[noreturn]] void throw_unknown_column(const std::string& name, const Schema& schema) {
  std::string all;
  const std::string* nearest = nullptr;
  size_t least = 0;
  for (const Field& field : schema.fields) {
    all += (all.empty() ? "" : ", ") + field.name;
    const size_t distance = edit_distance(name, field.name);
    if (nearest == nullptr || distance < least) {
      nearest = &field.name;
      least = distance;
    }
  }
  // Farther than half of the name is another name.
  const bool is_near = nearest != nullptr && least * 2 <= std::max(name.size(), nearest->size());
  throw Error(ErrorCode::kSchema,
              "column '" + name + "' does not exist" +
                  (is_near ? "; did you mean '" + *nearest + "'?" : ".") +
                  (all.empty() ? " There are no columns." : " The columns are " + all + "."),
              {{"column", name}});
}

// Deep enough for everything that people write, and far from the end of any thread's stack.
constexpr int kMaxDepth = 1000;

int depth_of(const Expression& expression, int limit) {
  if (limit == 0) return 1;
  int deepest = 0;
  for (const ExpressionPtr& argument : expression.arguments) {
    deepest = std::max(deepest, depth_of(*argument, limit - 1));
  }
  return deepest + 1;
}

NodePtr bind_node(const Expression& expression, const Schema& schema);

Operand bind_operand(const Expression& expression, const Schema& schema) {
  if (expression.kind == Expression::Kind::kLiteral) return {nullptr, &expression};
  return {bind_node(expression, schema), nullptr};
}

// A literal takes the type that the function needs; null literals have no other.
NodePtr bind_as(const Expression& expression, const Schema& schema, TypeId id) {
  if (expression.kind == Expression::Kind::kLiteral && is_null_literal(expression)) {
    return literal_as(expression, DataType::of(id), expression.to_string());
  }
  return bind_node(expression, schema);
}

void find_columns(const Expression& expression, const Schema& schema, std::set<int>* found) {
  if (expression.kind == Expression::Kind::kColumn) {
    found->insert(schema.index_of(expression.column));
  }
  for (const ExpressionPtr& argument : expression.arguments) {
    find_columns(*argument, schema, found);
  }
}

PartOperand bind_part(const Expression& expression, const Schema& schema) {
  Operand operand = bind_operand(expression, schema);  // so that every column exists
  std::set<int> columns;
  find_columns(expression, schema, &columns);
  return {std::move(operand), {columns.begin(), columns.end()}};
}

std::vector<PartOperand> bind_parts(const std::vector<ExpressionPtr>& expressions,
                                    const Schema& schema) {
  std::vector<PartOperand> parts;
  for (const ExpressionPtr& expression : expressions) {
    parts.push_back(bind_part(*expression, schema));
  }
  return parts;
}

NodePtr bind_case_call(const Expression& call, const Schema& schema, std::string text) {
  std::vector<Part> conditions;
  std::vector<PartOperand> values;
  const auto& arguments = call.arguments;
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    PartOperand condition = bind_part(*arguments[i], schema);
    if (condition.operand.literal) {
      condition.operand.node = bind_as(*arguments[i], schema, TypeId::kBool);
    }
    conditions.push_back({std::move(condition.operand.node), std::move(condition.columns)});
    values.push_back(bind_part(*arguments[i + 1], schema));
  }
  if (arguments.size() % 2 == 1) values.push_back(bind_part(*arguments.back(), schema));
  return bind_case(std::move(conditions), std::move(values), std::move(text));
}

bool takes_lists(Function function) {
  return function == Function::kIsNull || function == Function::kIsNotNull ||
         function == Function::kListLength || function == Function::kListGet;
}

// No function returns a list, so that only columns can be one.
void check_lists(const Expression& call, const Schema& schema, const std::string& text) {
  if (takes_lists(call.function)) return;
  for (const ExpressionPtr& argument : call.arguments) {
    if (argument->kind != Expression::Kind::kColumn) continue;
    const int index = schema.index_of(argument->column);
    if (index < 0) throw_unknown_column(argument->column, schema);
    const DataType& type = schema.fields[static_cast<size_t>(index)].type;
    if (!type.is_list()) continue;
    throw Error(ErrorCode::kSchema,
                text + ": " + std::string(name_of(call.function)) + " does not take lists, but " +
                    argument->to_string() + " is " + type.to_string() +
                    ". Take its parts with list_get() and list_length().",
                {{"expression", text}, {"column", argument->column}, {"got", type.to_string()}});
  }
}

NodePtr bind_call(const Expression& call, const Schema& schema) {
  const std::string text = call.to_string();
  check_lists(call, schema, text);
  const Expression& first = *call.arguments.at(0);
  switch (call.function) {
    case Function::kAdd:
    case Function::kSubtract:
    case Function::kMultiply:
    case Function::kDivide:
    case Function::kFloorDivide:
    case Function::kModulo:
      return bind_arithmetic(call.function, bind_operand(first, schema),
                             bind_operand(*call.arguments.at(1), schema), text);
    case Function::kNegate:
      return bind_negate(bind_node(first, schema), text);
    case Function::kAbs:
      return bind_absolute(bind_node(first, schema), text);
    case Function::kPower:
      return bind_power(bind_operand(first, schema), bind_operand(*call.arguments.at(1), schema),
                        text);
    case Function::kRound:
    case Function::kFloor:
    case Function::kCeil:
    case Function::kSqrt:
    case Function::kLn:
    case Function::kLog10:
    case Function::kExp:
    case Function::kSign:
      return bind_math(call.function, bind_as(first, schema, TypeId::kFloat64),
                       std::span(call.arguments).subspan(1), text);
    case Function::kGreatest:
    case Function::kLeast:
      return bind_extreme(call.function, bind_parts(call.arguments, schema), text);
    case Function::kHash:
      return bind_hash(bind_node(first, schema), text);
    case Function::kEqual:
    case Function::kNotEqual:
    case Function::kLess:
    case Function::kLessEqual:
    case Function::kGreater:
    case Function::kGreaterEqual:
      return bind_comparison(call.function, bind_operand(first, schema),
                             bind_operand(*call.arguments.at(1), schema), text);
    case Function::kAnd:
    case Function::kOr:
      return bind_logic(call.function, bind_as(first, schema, TypeId::kBool),
                        bind_as(*call.arguments.at(1), schema, TypeId::kBool), text);
    case Function::kNot:
      return bind_not(bind_as(first, schema, TypeId::kBool), text);
    case Function::kIsNull:
    case Function::kIsNotNull:
      return bind_null_test(call.function == Function::kIsNull,
                            bind_as(first, schema, TypeId::kBool), text);
    case Function::kFillNull:
      return bind_fill_null(bind_node(first, schema), bind_operand(*call.arguments.at(1), schema),
                            text);
    case Function::kNullIf:
      return bind_null_if(bind_node(first, schema), bind_operand(*call.arguments.at(1), schema),
                          text);
    case Function::kCase:
      return bind_case_call(call, schema, text);
    case Function::kCoalesce:
      return bind_coalesce(bind_parts(call.arguments, schema), text);
    case Function::kIsNaN:
      return bind_is_nan(bind_as(first, schema, TypeId::kFloat64), text);
    case Function::kIsIn:
      return bind_is_in(bind_node(first, schema), std::span(call.arguments).subspan(1), text);
    case Function::kTruncate:
      if (call.arguments.size() > 2) {
        return bind_zoned_truncate(bind_node(first, schema), *call.arguments.at(1),
                                   *call.arguments.at(2), text);
      }
      return bind_truncate(bind_node(first, schema), *call.arguments.at(1), text);
    case Function::kAtZone:
      return bind_at_zone(bind_node(first, schema), *call.arguments.at(1), text);
    case Function::kFromZone:
      return bind_from_zone(bind_node(first, schema), std::span(call.arguments).subspan(1), text);
    case Function::kFormat:
      return bind_format(bind_as(first, schema, TypeId::kDate32), *call.arguments.at(1), text);
    case Function::kParse:
    case Function::kTryParse:
      return bind_parse(
          bind_as(first, schema, TypeId::kString), std::span(call.arguments).subspan(1),
          call.function == Function::kParse ? OnFailure::kError : OnFailure::kNull, text);
    case Function::kExtract:
      return bind_extract(bind_as(first, schema, TypeId::kDate32), *call.arguments.at(1), text);
    case Function::kLength:
    case Function::kLower:
    case Function::kUpper:
    case Function::kStrip:
    case Function::kLStrip:
    case Function::kRStrip:
      return bind_text(call.function, bind_as(first, schema, TypeId::kString), text);
    case Function::kSubstring:
      return bind_substring(bind_as(first, schema, TypeId::kString),
                            std::span(call.arguments).subspan(1), text);
    case Function::kRegexpMatch:
    case Function::kRegexpExtract:
    case Function::kRegexpReplace:
    case Function::kSplitPart:
      return bind_pattern(call.function, bind_as(first, schema, TypeId::kString),
                          std::span(call.arguments).subspan(1), text);
    case Function::kContains:
    case Function::kStartsWith:
    case Function::kEndsWith:
      return bind_text_test(call.function, bind_as(first, schema, TypeId::kString),
                            bind_operand(*call.arguments.at(1), schema), text);
    case Function::kListLength:
      return bind_list_length(bind_node(first, schema), text);
    case Function::kListGet:
      return bind_list_get(bind_node(first, schema), *call.arguments.at(1), text);
    case Function::kCast:
    case Function::kTryCast:
      return bind_cast(bind_as(first, schema, call.cast_type.id), call.cast_type,
                       call.function == Function::kCast ? OnFailure::kError : OnFailure::kNull,
                       text);
  }
  throw_schema_error(text + ": unknown function.");
}

NodePtr bind_node(const Expression& expression, const Schema& schema) {
  switch (expression.kind) {
    case Expression::Kind::kLiteral:
      return bind_literal(expression);
    case Expression::Kind::kColumn: {
      const int index = schema.index_of(expression.column);
      if (index < 0) throw_unknown_column(expression.column, schema);
      return std::make_shared<ColumnNode>(index, schema.fields[static_cast<size_t>(index)],
                                          expression.to_string());
    }
    case Expression::Kind::kCall:
      break;
  }
  return bind_call(expression, schema);
}

}  // namespace
}  // namespace detail

BoundExpressionPtr bind(const Expression& expression, const Schema& schema) {
  if (detail::depth_of(expression, detail::kMaxDepth) > detail::kMaxDepth) {
    detail::throw_schema_error("an expression is nested more than " +
                               std::to_string(detail::kMaxDepth) +
                               " calls deep. Use isin for many comparisons, or split it over "
                               "several with_columns.");
  }
  return detail::bind_node(expression, schema);
}

}  // namespace pystream::expressions
