#pragma once
// Values of a column, widened to the type they are accumulated in.

#include <cstdint>

#include "columns/array.hpp"

namespace pystream::windows {

// The values of rows [begin, begin + count), or of those that `indices` lists, in order; the rows
// are not null. V is int64_t (signed integers, times, bool), uint64_t (unsigned), double (floats)
// or
// __int128 (decimal128). The result points into the column where nothing needs to change, else to
// `scratch`, which has room for `count` values.
template <typename V>
const V* load_values(const Array& column, const int32_t* indices, int64_t begin, int64_t count,
                     V* scratch);

bool has_nan(const double* values, int64_t count);

}  // namespace pystream::windows
