#pragma once
// One cast as a function of a column.

#include <functional>
#include <string>

#include "expressions/detail/node.hpp"

namespace pystream::expressions::detail {

// Converts a column; throws kOperator, beginning with `text`, on a value that the target does not
// hold.
using CastKernel = std::function<Array(const Array& in, const std::string& text)>;

// Between numbers (no decimals as target), bool and times; empty when there is no such cast.
CastKernel find_number_cast(const DataType& from, const DataType& to);
CastKernel find_time_cast(const DataType& from, const DataType& to);
// From or to string and binary; empty when there is no such cast.
CastKernel find_text_cast(const DataType& from, const DataType& to);

[[noreturn]] void throw_cast_error(const std::string& text, int64_t row, const std::string& value,
                                   const DataType& target);

}  // namespace pystream::expressions::detail
