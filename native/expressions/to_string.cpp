// Expressions as the user would write them, for explain() and error messages.

#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_text.hpp"
#include "expressions/expression.hpp"

namespace pystream::expressions {
namespace {

std::string join(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string quoted(const std::string& text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "'";
}

// In the largest unit that holds it exactly.
std::string duration_text(int64_t value, const DataType& type) {
  static constexpr std::array<std::pair<std::string_view, int64_t>, 7> kUnits = {{
      {"d", 86400 * detail::kNanosPerSecond},
      {"h", 3600 * detail::kNanosPerSecond},
      {"m", 60 * detail::kNanosPerSecond},
      {"s", detail::kNanosPerSecond},
      {"ms", 1'000'000},
      {"us", 1'000},
      {"ns", 1},
  }};
  const __int128 nanos = static_cast<__int128>(value) * detail::nanos_per_tick(type);
  for (const auto& [name, size] : kUnits) {
    if (nanos % size != 0) continue;
    return join({"'", detail::decimal_text(nanos / size, 0), name, "'"});
  }
  return {};  // every number of nanoseconds is one of the last unit
}

std::string literal_text(const Expression& expression) {
  const Literal& literal = expression.literal;
  if (std::holds_alternative<std::monostate>(literal)) return "None";
  if (const auto* truth = std::get_if<bool>(&literal)) return *truth ? "True" : "False";
  if (const auto* number = std::get_if<double>(&literal)) return detail::float_text(*number);
  if (const auto* text = std::get_if<std::string>(&literal)) {
    if (!expression.has_literal_type) return quoted(*text);
    if (expression.literal_type.id == TypeId::kDecimal128) {
      return join({"Decimal(", quoted(*text), ")"});
    }
    return join({expression.literal_type.id == TypeId::kBinary ? "b" : "", quoted(*text)});
  }
  const int64_t value = std::get<int64_t>(literal);
  if (!expression.has_literal_type) return std::to_string(value);
  const DataType& type = expression.literal_type;
  switch (type.id) {
    case TypeId::kTimestamp:
      return join({"'", detail::format_timestamp(value, type), "'"});
    case TypeId::kDate32:
      return join({"'", detail::format_date(value), "'"});
    case TypeId::kDuration:
      return duration_text(value, type);
    case TypeId::kUInt64:
      return std::to_string(static_cast<uint64_t>(value));
    default:
      return std::to_string(value);
  }
}

bool is_infix(const Expression& expression) {
  return expression.kind == Expression::Kind::kCall &&
         (expression.function <= Function::kModulo || expression.function == Function::kPower ||
          (expression.function >= Function::kEqual && expression.function <= Function::kOr));
}

bool is_prefix(const Expression& expression) {
  return expression.kind == Expression::Kind::kCall &&
         (expression.function == Function::kNegate || expression.function == Function::kNot);
}

// A text shows so many columns, literals and calls. Expressions that stand in each other more than
// once could be longer than any memory.
constexpr int kMostParts = 300;

std::string text_of(const Expression& expression, int* left);

// A call inside an operator is parenthesized, unless it already reads as a method call.
std::string operand_text(const Expression& expression, int* left) {
  const std::string text = text_of(expression, left);
  return is_infix(expression) || is_prefix(expression) ? join({"(", text, ")"}) : text;
}

std::string_view symbol(Function function) {
  switch (function) {
    case Function::kAdd:
      return " + ";
    case Function::kSubtract:
      return " - ";
    case Function::kMultiply:
      return " * ";
    case Function::kDivide:
      return " / ";
    case Function::kFloorDivide:
      return " // ";
    case Function::kModulo:
      return " % ";
    case Function::kPower:
      return " ** ";
    case Function::kEqual:
      return " == ";
    case Function::kNotEqual:
      return " != ";
    case Function::kLess:
      return " < ";
    case Function::kLessEqual:
      return " <= ";
    case Function::kGreater:
      return " > ";
    case Function::kGreaterEqual:
      return " >= ";
    case Function::kAnd:
      return " & ";
    default:
      return " | ";
  }
}

std::string listed(const std::vector<ExpressionPtr>& arguments, size_t begin, int* left) {
  std::string text;
  for (size_t i = begin; i < arguments.size(); ++i) {
    if (i > begin) text += ", ";
    text += text_of(*arguments[i], left);
    if (*left <= 0) break;
  }
  return text;
}

std::string method_text(const Expression& expression, int* left) {
  const auto& arguments = expression.arguments;
  const std::string self = operand_text(*arguments.at(0), left);
  if (expression.function >= Function::kCast) {
    return join(
        {self, ".", name_of(expression.function), "('", expression.cast_type.to_string(), "')"});
  }
  const std::string others = listed(arguments, 1, left);
  if (expression.function == Function::kIsIn) return join({self, ".isin([", others, "])"});
  return join({self, ".", name_of(expression.function), "(", others, ")"});
}

std::string case_text(const std::vector<ExpressionPtr>& arguments, int* left) {
  std::string text;
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string condition = text_of(*arguments[i], left);
    const std::string value = text_of(*arguments[i + 1], left);
    text += join({i > 0 ? "." : "", "when(", condition, ").then(", value, ")"});
  }
  if (arguments.size() % 2 == 0) return text;
  return join({text, ".otherwise(", text_of(*arguments.back(), left), ")"});
}

std::string text_of(const Expression& expression, int* left) {
  if (--*left < 0) return "...";
  const auto& arguments = expression.arguments;
  if (expression.kind == Expression::Kind::kColumn) {
    return expression.label.empty() ? expression.column : expression.label;
  }
  if (expression.kind == Expression::Kind::kLiteral) return literal_text(expression);
  if (expression.kind == Expression::Kind::kExternal) {
    return join({expression.external->name(), "(", listed(arguments, 0, left), ")"});
  }
  if (is_infix(expression)) {
    const std::string first = operand_text(*arguments.at(0), left);
    return join({first, symbol(expression.function), operand_text(*arguments.at(1), left)});
  }
  switch (expression.function) {
    case Function::kNegate:
      return join({"-", operand_text(*arguments.at(0), left)});
    case Function::kNot:
      return join({"~", operand_text(*arguments.at(0), left)});
    case Function::kCase:
      return case_text(arguments, left);
    case Function::kCoalesce:
    case Function::kGreatest:
    case Function::kLeast:
      return join({name_of(expression.function), "(", listed(arguments, 0, left), ")"});
    case Function::kAbs:
      return join({"abs(", text_of(*arguments.at(0), left), ")"});
    default:
      return method_text(expression, left);
  }
}

}  // namespace

std::string Expression::to_string() const {
  int left = kMostParts;
  return text_of(*this, &left);
}

}  // namespace pystream::expressions
