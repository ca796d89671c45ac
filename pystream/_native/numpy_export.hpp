#pragma once
// Arrays as numpy sees them.

#include <string>

#include "bindings.hpp"

namespace pystream::python {

// The dtype of a column without nulls ("object" for strings, binary and decimals).
std::string numpy_dtype(const DataType& type);

// See Array.to_numpy in _core.pyi. `null_value` may be None.
py::array to_numpy(const Array& array, bool zero_copy_only, const py::object& null_value);

// True where null; a copy.
py::array null_mask(const Array& array);

// A read-only view of `buffer` whose base keeps `array` alive.
py::array view_of(const Array& array, const Buffer& buffer, const std::string& dtype);

}  // namespace pystream::python
