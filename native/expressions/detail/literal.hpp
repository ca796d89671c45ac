#pragma once
// What a literal means beside an operand of a known type.

#include <optional>

#include "expressions/detail/node.hpp"

namespace pystream::expressions::detail {

// Where a literal lies among the values of a type: the nearest value at or below it and at or
// above it. They are equal exactly when the type holds the literal. Comparing with these is exact
// where converting the literal would round it.
struct Bracket {
  std::optional<Constant> below;
  std::optional<Constant> above;
  bool exact = false;
  bool unordered = false;  // NaN: neither below, above, nor equal
};

// Throws kSchema, beginning with `text`, when the literal is of another kind than the type (text
// beside a number). The literal is not null.
Bracket bracket(const Expression& literal, const DataType& type, const std::string& text);

// The literal as a value of `type`, exactly, or floats rounded to the nearest; null stays null.
// Throws kSchema when the type does not hold it.
NodePtr literal_as(const Expression& literal, const DataType& type, const std::string& text);

// The type of a literal on its own: bool, int64, float64, string, or its declared one. Throws
// kSchema for a bare null.
DataType natural_type(const Expression& literal);

// The literal in its natural type.
NodePtr bind_literal(const Expression& literal);

// The node itself, or the literal in its natural type.
NodePtr resolve(const Operand& operand);

bool is_null_literal(const Expression& literal);

}  // namespace pystream::expressions::detail
