#pragma once
// Row numbers as Python gives them, checked at the door. Each throws IndexError.

#include <cstdint>
#include <vector>

#include "bindings.hpp"

namespace pystream::python {

// [begin, begin + length) lies within `rows`.
void check_range(int64_t begin, int64_t length, int64_t rows);

// A one-dimensional array of integers, each 0 <= index < rows. Throws TypeError for other arrays.
std::vector<int32_t> indices_of(const py::array& given, int64_t rows);

}  // namespace pystream::python
