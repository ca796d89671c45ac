#pragma once
// One entry point per family of functions: checks the operand types and returns the bound node.
// `text` is the whole call as the user would write it. All throw kSchema on types that do not fit.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expressions/detail/node.hpp"

namespace pystream::expressions::detail {

NodePtr bind_arithmetic(Function function, Operand left, Operand right, std::string text);
NodePtr bind_negate(NodePtr child, std::string text);
NodePtr bind_absolute(NodePtr child, std::string text);
// Functions of numbers; `arguments` are those behind the first.
NodePtr bind_math(Function function, NodePtr child, std::span<const ExpressionPtr> arguments,
                  std::string text);
NodePtr bind_power(Operand base, Operand exponent, std::string text);
// kGreatest or kLeast.
NodePtr bind_extreme(Function function, std::vector<Operand> values, std::string text);
NodePtr bind_hash(NodePtr child, std::string text);
NodePtr bind_comparison(Function function, Operand left, Operand right, std::string text);
NodePtr bind_logic(Function function, NodePtr left, NodePtr right, std::string text);
NodePtr bind_not(NodePtr child, std::string text);
NodePtr bind_null_test(bool is_null, NodePtr child, std::string text);
NodePtr bind_fill_null(NodePtr child, Operand fill, std::string text);
NodePtr bind_null_if(NodePtr child, Operand value, std::string text);
NodePtr bind_is_nan(NodePtr child, std::string text);
NodePtr bind_is_in(NodePtr child, std::span<const ExpressionPtr> members, std::string text);
// As many values as conditions, or one more, for the rows where none is true.
NodePtr bind_case(std::vector<NodePtr> conditions, std::vector<Operand> values, std::string text);
NodePtr bind_coalesce(std::vector<Operand> values, std::string text);
NodePtr bind_truncate(NodePtr child, const Expression& duration, std::string text);
// Down to the first day of a week, month, quarter or year; null when `unit` is none of them.
NodePtr bind_calendar_truncate(NodePtr child, std::string_view unit, const std::string& text);
NodePtr bind_extract(NodePtr child, const Expression& part, std::string text);
// Rounded down on the clocks of a zone.
NodePtr bind_zoned_truncate(NodePtr child, const Expression& step, const Expression& zone,
                            std::string text);
NodePtr bind_at_zone(NodePtr child, const Expression& zone, std::string text);
// `arguments` are the zone and what to do where a time is ambiguous, and where there is none.
NodePtr bind_from_zone(NodePtr child, std::span<const ExpressionPtr> arguments, std::string text);
NodePtr bind_format(NodePtr child, const Expression& format, std::string text);
NodePtr bind_text(Function function, NodePtr child, std::string text);
NodePtr bind_substring(NodePtr child, std::span<const ExpressionPtr> bounds, std::string text);
NodePtr bind_text_test(Function function, NodePtr child, Operand pattern, std::string text);
NodePtr bind_external(std::shared_ptr<const ExternalFunction> function,
                      std::vector<NodePtr> arguments, std::string text);
NodePtr bind_split(NodePtr child, const Expression& delimiter, std::string text);
NodePtr bind_list_length(NodePtr child, std::string text);
NodePtr bind_list_get(NodePtr child, const Expression& index, std::string text);
// What a cast makes of a value that the target does not hold.
enum class OnFailure : uint8_t { kError, kNull };
// `arguments` are a format and the name of a type.
NodePtr bind_parse(NodePtr child, std::span<const ExpressionPtr> arguments, OnFailure on_failure,
                   std::string text);
NodePtr bind_cast(NodePtr child, const DataType& target, OnFailure on_failure, std::string text);

// Parts that families lend to each other.

// Whether values of both types may stand in one column of type `type`: they are equal, or differ in
// a declared dictionary encoding alone.
bool is_same_kind(const DataType& type, const DataType& other);
// Values that may stand in one column, and its type.
std::vector<NodePtr> bind_alike(std::vector<Operand> values, const std::string& text,
                                DataType* type);
// Arithmetic where an operand is a decimal; negation and absolute value of one.
NodePtr bind_decimal_arithmetic(Function function, const Operand& left, const Operand& right,
                                std::string text);
NodePtr bind_decimal_sign(bool negates, NodePtr child, std::string text);
// Arithmetic of times; `left` or `right` is temporal.
NodePtr bind_time_arithmetic(Function function, Operand left, Operand right, std::string text);
// Both operands of one computing type (int64, uint64, float32, float64, or one int64 and one
// uint64); the result has the type `result`.
NodePtr make_arithmetic(Function function, NodePtr left, NodePtr right, DataType result,
                        std::string text);
// Whether an addition is one of strings, and then that.
bool is_concat(const Operand& left, const Operand& right);
NodePtr bind_concat(Operand left, Operand right, std::string text);
// What regexp_match, regexp_extract, regexp_replace and split_part take behind the string.
NodePtr bind_pattern(Function function, NodePtr child, std::span<const ExpressionPtr> arguments,
                     std::string text);
// Throws when the argument of a function of strings is none.
void check_string(Function function, const Node& node, const std::string& text);
// lower or upper of a string.
NodePtr make_case_change(Function function, NodePtr child, std::string text);
// For a time whose truncation lies before the first that its type holds.
[[noreturn]] void throw_truncate_error(const Node& node, int64_t row, int64_t value);
// string or binary on both sides; also contains, starts_with and ends_with.
NodePtr make_string_comparison(Function function, NodePtr left, NodePtr right, std::string text);
// A bitmap of the rows whose value is one of some members; arbitrary below nulls.
using Finder = std::function<Buffer(const Array&)>;
Finder find_where(std::function<bool(std::string_view)> predicate);
Finder find_strings(std::vector<std::string> members);
// The implicit conversion of an operand: lossless, or integer to float. Returns `node` itself when
// it has the type already.
NodePtr convert(NodePtr node, const DataType& type);

}  // namespace pystream::expressions::detail
