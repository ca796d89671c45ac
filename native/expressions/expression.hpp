#pragma once
// Expressions over the columns of a batch: an untyped tree as the user wrote it, and a typed,
// bound form that is evaluated batch by batch.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "columns/record_batch.hpp"

namespace pystream::expressions {

// A literal: null, bool, int64, double or text; its type adapts to the other operand when bound.
// With a declared type: int64 ticks of a time, the bits of a uint64, the bytes of a binary, the
// digits of a decimal.
using Literal = std::variant<std::monostate, bool, int64_t, double, std::string>;

enum class Function : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kNegate,
  kAbs,
  kPower,
  kRound,  // argument 1, optional: literal number of digits
  kFloor,
  kCeil,
  kSqrt,
  kLn,
  kLog10,
  kExp,
  kSign,
  kGreatest,  // any number of arguments, of one type
  kLeast,
  kHash,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
  kNot,  // three-valued (Kleene), as SQL
  kIsNull,
  kIsNotNull,
  kFillNull,
  kNullIf,  // argument 0, null where it equals argument 1
  // Arguments: condition, value, condition, value, ..., and perhaps the value of all other rows.
  kCase,
  kCoalesce,  // the first argument that is not null
  kIsNaN,
  kIsIn,       // argument 0 in the literals that follow
  kTruncate,   // time to a multiple of a duration, floor; arguments: time, literal ("1h", a
               // duration, or int64 in the unit of the time), zone (optional)
  kExtract,    // arguments: time, literal name of the part
  kAtZone,     // arguments: timestamp, zone; what its clocks show
  kFromZone,   // arguments: timestamp that a clock shows, zone, literal "earliest", "latest",
               // "null" or "error" where it is ambiguous, "shift", "null" or "error" where there is
               // no such time
  kFormat,     // arguments: time, literal format of strftime
  kParse,      // arguments: string, literal format of strptime, literal name of the type
  kTryParse,   // the same; null where the text is not so
  kLength,     // of strings, as the rest below: in code points
  kSubstring,  // arguments: string, literal start, literal length (optional)
  kLower,      // full Unicode mapping
  kUpper,
  kStrip,
  kLStrip,
  kRStrip,
  kRegexpMatch,    // arguments: string, literal pattern
  kRegexpExtract,  // arguments: string, literal pattern, literal number or name of a group
  kRegexpReplace,  // arguments: string, literal pattern, literal replacement
  kSplit,          // arguments: string, literal delimiter; a list
  kSplitPart,      // arguments: string, literal delimiter, literal number of the part
  kContains,
  kStartsWith,
  kEndsWith,
  kListLength,
  kListGet,  // arguments: list, literal place; a negative one counts from the end
  kCast,     // target in Expression::cast_type
  kTryCast,  // the same; null where the cast would fail
};

// In the order of the enumeration: what the plan calls them, and mostly what the user writes.
inline constexpr std::array<std::string_view, 63> kFunctionNames = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "modulo",
    "negate",
    "abs",
    "power",
    "round",
    "floor",
    "ceil",
    "sqrt",
    "ln",
    "log10",
    "exp",
    "sign",
    "greatest",
    "least",
    "hash",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "and",
    "or",
    "not",
    "is_null",
    "is_not_null",
    "fill_null",
    "null_if",
    "case",
    "coalesce",
    "is_nan",
    "is_in",
    "truncate",
    "extract",
    "at_zone",
    "from_zone",
    "format",
    "parse",
    "try_parse",
    "length",
    "substring",
    "lower",
    "upper",
    "strip",
    "lstrip",
    "rstrip",
    "regexp_match",
    "regexp_extract",
    "regexp_replace",
    "split",
    "split_part",
    "contains",
    "starts_with",
    "ends_with",
    "list_length",
    "list_get",
    "cast",
    "try_cast",
};
static_assert(kFunctionNames.size() == static_cast<size_t>(Function::kTryCast) + 1);

constexpr std::string_view name_of(Function function) {
  return kFunctionNames[static_cast<size_t>(function)];
}

// A function that is not the core's. Immutable; calls come from one thread at a time.
class ExternalFunction {
 public:
  ExternalFunction(std::string name, DataType type)
      : name_(std::move(name)), type_(std::move(type)) {}
  virtual ~ExternalFunction() = default;
  ExternalFunction(const ExternalFunction&) = delete;
  ExternalFunction& operator=(const ExternalFunction&) = delete;

  const std::string& name() const { return name_; }
  const DataType& type() const { return type_; }
  // Of `rows` rows; one value of type() for each. Throws kOperator, or kSchema for what is no
  // such column.
  virtual Array call(std::span<const Array> arguments, int64_t rows) const = 0;

 private:
  std::string name_;
  DataType type_;
};

struct Expression;
using ExpressionPtr = std::shared_ptr<const Expression>;

struct Expression {
  enum class Kind : uint8_t { kColumn, kLiteral, kCall, kExternal } kind;
  std::string column;      // kColumn
  std::string label;       // kColumn: what messages call it, if not by its name
  Literal literal;         // kLiteral
  std::string zone_table;  // kLiteral that names a time zone: see detail/zone.hpp
  DataType literal_type;   // kLiteral with a declared type: see has_literal_type
  bool has_literal_type = false;
  Function function = Function::kAdd;                // kCall
  std::vector<ExpressionPtr> arguments;              // kCall, kExternal
  DataType cast_type;                                // kCall of kCast and kTryCast
  std::shared_ptr<const ExternalFunction> external;  // kExternal

  std::string to_string() const;  // as the user would write it: (amount * 2) > 100
};

// A type-checked expression for batches of one schema. Immutable; evaluate() may run on any thread.
class BoundExpression {
 public:
  virtual ~BoundExpression() = default;
  const DataType& type() const { return type_; }
  bool nullable() const { return nullable_; }
  // One value per row of `batch`, whose schema is the one bound to. Throws kOperator for what only
  // the data can show (integer overflow, division by zero), naming expression and row.
  virtual Array evaluate(const RecordBatch& batch) const = 0;

 protected:
  DataType type_;
  bool nullable_ = true;
};
using BoundExpressionPtr = std::shared_ptr<const BoundExpression>;

// Type-checks `expression` against `schema`. Throws kSchema: unknown column (names the nearest and
// lists all), or operand types that the function does not take (names both).
BoundExpressionPtr bind(const Expression& expression, const Schema& schema);

// Rows where a bool array is true (null is not true), ascending. `out` is replaced.
void select_true(const Array& condition, std::vector<int32_t>* out);

}  // namespace pystream::expressions
