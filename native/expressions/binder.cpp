// From the tree that the user wrote to typed nodes: names become column indexes, and every call
// goes to its family.

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"

namespace pystream::expressions {
namespace detail {
namespace {

class ColumnNode final : public Node {
 public:
  ColumnNode(int index, const Field& field, std::string text)
      : Node(field.type, field.nullable, std::move(text)), index_(index) {}

  Array compute(const Input& batch) const override {
    const Array& column = batch.column(static_cast<size_t>(index_));
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

// What is bound of one expression, whose parts may stand in several places of it.
class Binding {
 public:
  Binding(const Expression& root, const Schema& columns) : schema(columns) { count(root); }

  const Schema& schema;

  // How many calls stand in each other, at most.
  int depth() const { return depth_; }
  bool is_shared(const Expression& part) const { return parts_.at(&part).uses > 1; }
  NodePtr& node_of(const Expression& part) { return parts_.at(&part).node; }

 private:
  struct Part {
    int uses = 0;
    int depth = 1;
    NodePtr node = nullptr;
  };

  // Parts before what they are part of; not a recursion, for it may be nested too deeply.
  void count(const Expression& root) {
    std::vector<const Expression*> open = {&root};
    parts_[&root].uses = 1;
    std::unordered_set<const Expression*> entered;
    std::unordered_set<const Expression*> finished;
    while (!open.empty()) {
      const Expression* at = open.back();
      if (entered.insert(at).second) {
        for (const ExpressionPtr& argument : at->arguments) {
          ++parts_[argument.get()].uses;
          // Also what waits further down: this one needs it first.
          if (!entered.contains(argument.get())) open.push_back(argument.get());
        }
        continue;
      }
      open.pop_back();
      if (finished.insert(at).second) finish(*at);
    }
  }

  void finish(const Expression& expression) {
    Part& part = parts_.at(&expression);
    for (const ExpressionPtr& argument : expression.arguments) {
      part.depth = std::max(part.depth, parts_.at(argument.get()).depth + 1);
    }
    depth_ = std::max(depth_, part.depth);
  }

  std::unordered_map<const Expression*, Part> parts_;
  int depth_ = 0;
};

NodePtr bind_node(const Expression& expression, Binding& binding);

Operand bind_operand(const Expression& expression, Binding& binding) {
  if (expression.kind == Expression::Kind::kLiteral) return {nullptr, &expression};
  return {bind_node(expression, binding), nullptr};
}

// A literal takes the type that the function needs; null literals have no other.
NodePtr bind_as(const Expression& expression, Binding& binding, TypeId id) {
  if (expression.kind == Expression::Kind::kLiteral && is_null_literal(expression)) {
    return literal_as(expression, DataType::of(id), expression.to_string());
  }
  return bind_node(expression, binding);
}

std::vector<Operand> bind_operands(const std::vector<ExpressionPtr>& expressions,
                                   Binding& binding) {
  std::vector<Operand> operands;
  for (const ExpressionPtr& expression : expressions) {
    operands.push_back(bind_operand(*expression, binding));
  }
  return operands;
}

NodePtr bind_case_call(const Expression& call, Binding& binding, std::string text) {
  std::vector<NodePtr> conditions;
  std::vector<Operand> values;
  const auto& arguments = call.arguments;
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    conditions.push_back(bind_as(*arguments[i], binding, TypeId::kBool));
    values.push_back(bind_operand(*arguments[i + 1], binding));
  }
  if (arguments.size() % 2 == 1) values.push_back(bind_operand(*arguments.back(), binding));
  return bind_case(std::move(conditions), std::move(values), std::move(text));
}

bool takes_lists(Function function) {
  return function == Function::kIsNull || function == Function::kIsNotNull ||
         function == Function::kListLength || function == Function::kListGet;
}

void check_lists(const Expression& call, Binding& binding, const std::string& text) {
  if (takes_lists(call.function)) return;
  for (const ExpressionPtr& argument : call.arguments) {
    if (argument->kind == Expression::Kind::kLiteral) continue;
    const NodePtr bound = bind_node(*argument, binding);
    const DataType& type = bound->type();
    if (!type.is_list()) continue;
    std::vector<ErrorFact> facts = {{"expression", text}, {"got", type.to_string()}};
    if (argument->kind == Expression::Kind::kColumn) facts.push_back({"column", argument->column});
    throw Error(ErrorCode::kSchema,
                text + ": " + std::string(name_of(call.function)) + " does not take lists, but " +
                    argument->to_string() + " is " + type.to_string() +
                    ". Take its parts with list_get() and list_length().",
                std::move(facts));
  }
}

NodePtr bind_call(const Expression& call, Binding& binding) {
  const std::string text = call.to_string();
  check_lists(call, binding, text);
  const Expression& first = *call.arguments.at(0);
  switch (call.function) {
    case Function::kAdd:
    case Function::kSubtract:
    case Function::kMultiply:
    case Function::kDivide:
    case Function::kFloorDivide:
    case Function::kModulo:
      return bind_arithmetic(call.function, bind_operand(first, binding),
                             bind_operand(*call.arguments.at(1), binding), text);
    case Function::kNegate:
      return bind_negate(bind_node(first, binding), text);
    case Function::kAbs:
      return bind_absolute(bind_node(first, binding), text);
    case Function::kPower:
      return bind_power(bind_operand(first, binding), bind_operand(*call.arguments.at(1), binding),
                        text);
    case Function::kRound:
    case Function::kFloor:
    case Function::kCeil:
    case Function::kSqrt:
    case Function::kLn:
    case Function::kLog10:
    case Function::kExp:
    case Function::kSign:
      return bind_math(call.function, bind_as(first, binding, TypeId::kFloat64),
                       std::span(call.arguments).subspan(1), text);
    case Function::kGreatest:
    case Function::kLeast:
      return bind_extreme(call.function, bind_operands(call.arguments, binding), text);
    case Function::kHash:
      return bind_hash(bind_node(first, binding), text);
    case Function::kEqual:
    case Function::kNotEqual:
    case Function::kLess:
    case Function::kLessEqual:
    case Function::kGreater:
    case Function::kGreaterEqual:
      return bind_comparison(call.function, bind_operand(first, binding),
                             bind_operand(*call.arguments.at(1), binding), text);
    case Function::kAnd:
    case Function::kOr:
      return bind_logic(call.function, bind_as(first, binding, TypeId::kBool),
                        bind_as(*call.arguments.at(1), binding, TypeId::kBool), text);
    case Function::kNot:
      return bind_not(bind_as(first, binding, TypeId::kBool), text);
    case Function::kIsNull:
    case Function::kIsNotNull:
      return bind_null_test(call.function == Function::kIsNull,
                            bind_as(first, binding, TypeId::kBool), text);
    case Function::kFillNull:
      return bind_fill_null(bind_node(first, binding), bind_operand(*call.arguments.at(1), binding),
                            text);
    case Function::kNullIf:
      return bind_null_if(bind_node(first, binding), bind_operand(*call.arguments.at(1), binding),
                          text);
    case Function::kCase:
      return bind_case_call(call, binding, text);
    case Function::kCoalesce:
      return bind_coalesce(bind_operands(call.arguments, binding), text);
    case Function::kIsNaN:
      return bind_is_nan(bind_as(first, binding, TypeId::kFloat64), text);
    case Function::kIsIn:
      return bind_is_in(bind_node(first, binding), std::span(call.arguments).subspan(1), text);
    case Function::kTruncate:
      if (call.arguments.size() > 2) {
        return bind_zoned_truncate(bind_node(first, binding), *call.arguments.at(1),
                                   *call.arguments.at(2), text);
      }
      return bind_truncate(bind_node(first, binding), *call.arguments.at(1), text);
    case Function::kAtZone:
      return bind_at_zone(bind_node(first, binding), *call.arguments.at(1), text);
    case Function::kFromZone:
      return bind_from_zone(bind_node(first, binding), std::span(call.arguments).subspan(1), text);
    case Function::kFormat:
      return bind_format(bind_as(first, binding, TypeId::kDate32), *call.arguments.at(1), text);
    case Function::kParse:
    case Function::kTryParse:
      return bind_parse(
          bind_as(first, binding, TypeId::kString), std::span(call.arguments).subspan(1),
          call.function == Function::kParse ? OnFailure::kError : OnFailure::kNull, text);
    case Function::kExtract:
      return bind_extract(bind_as(first, binding, TypeId::kDate32), *call.arguments.at(1), text);
    case Function::kLength:
    case Function::kLower:
    case Function::kUpper:
    case Function::kStrip:
    case Function::kLStrip:
    case Function::kRStrip:
      return bind_text(call.function, bind_as(first, binding, TypeId::kString), text);
    case Function::kSubstring:
      return bind_substring(bind_as(first, binding, TypeId::kString),
                            std::span(call.arguments).subspan(1), text);
    case Function::kSplit:
      return bind_split(bind_as(first, binding, TypeId::kString), *call.arguments.at(1), text);
    case Function::kRegexpMatch:
    case Function::kRegexpExtract:
    case Function::kRegexpReplace:
    case Function::kSplitPart:
      return bind_pattern(call.function, bind_as(first, binding, TypeId::kString),
                          std::span(call.arguments).subspan(1), text);
    case Function::kContains:
    case Function::kStartsWith:
    case Function::kEndsWith:
      return bind_text_test(call.function, bind_as(first, binding, TypeId::kString),
                            bind_operand(*call.arguments.at(1), binding), text);
    case Function::kListLength:
      return bind_list_length(bind_node(first, binding), text);
    case Function::kListGet:
      return bind_list_get(bind_node(first, binding), *call.arguments.at(1), text);
    case Function::kCast:
    case Function::kTryCast:
      return bind_cast(bind_as(first, binding, call.cast_type.id), call.cast_type,
                       call.function == Function::kCast ? OnFailure::kError : OnFailure::kNull,
                       text);
  }
  throw_schema_error(text + ": unknown function.");
}

NodePtr bind_external_call(const Expression& call, Binding& binding) {
  std::vector<NodePtr> arguments;
  for (const ExpressionPtr& argument : call.arguments) {
    arguments.push_back(bind_node(*argument, binding));
  }
  return bind_external(call.external, std::move(arguments), call.to_string());
}

NodePtr bind_node(const Expression& expression, Binding& binding) {
  switch (expression.kind) {
    case Expression::Kind::kLiteral:
      return bind_literal(expression);
    case Expression::Kind::kColumn: {
      const int index = binding.schema.index_of(expression.column);
      if (index < 0) throw_unknown_column(expression.column, binding.schema);
      return std::make_shared<ColumnNode>(index, binding.schema.fields[static_cast<size_t>(index)],
                                          expression.to_string());
    }
    case Expression::Kind::kCall:
    case Expression::Kind::kExternal:
      break;
  }
  NodePtr& node = binding.node_of(expression);
  if (node) return node;
  node = expression.kind == Expression::Kind::kExternal ? bind_external_call(expression, binding)
                                                        : bind_call(expression, binding);
  if (binding.is_shared(expression)) node = std::make_shared<SharedNode>(std::move(node));
  return node;
}

}  // namespace
}  // namespace detail

BoundExpressionPtr bind(const Expression& expression, const Schema& schema) {
  detail::Binding binding(expression, schema);
  if (binding.depth() > detail::kMaxDepth) {
    detail::throw_schema_error("an expression is nested more than " +
                               std::to_string(detail::kMaxDepth) +
                               " calls deep. Use isin for many comparisons, or split it over "
                               "several with_columns.");
  }
  return detail::bind_node(expression, binding);
}

}  // namespace pystream::expressions
