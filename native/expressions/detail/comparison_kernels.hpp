#pragma once
// A comparison ready to run on two columns, or on one column and a constant bound into it.

#include <functional>

#include "expressions/detail/node.hpp"

namespace pystream::expressions::detail {

// Writes one bit per row. The right array is empty when the right side is a constant.
using CompareKernel =
    std::function<void(const Array& left, const Array& right, int64_t rows, uint64_t* out)>;

// The function with its operands exchanged: < becomes >.
Function mirrored(Function function);

// Columns of one fixed-width type, or (int64, uint64), (int64, float64), (uint64, float64).
CompareKernel compare_columns(Function function, const DataType& left, const DataType& right);
// A column and a constant of its own type.
CompareKernel compare_constant(Function function, const DataType& type, const Constant& constant);
// Times of different units, or one decimal beside a decimal, int64 or uint64.
CompareKernel compare_times(Function function, const DataType& left, const DataType& right);
CompareKernel compare_decimals(Function function, const DataType& left, const DataType& right);
CompareKernel compare_decimal_constant(Function function, const DataType& type,
                                       const Constant& constant);

}  // namespace pystream::expressions::detail
