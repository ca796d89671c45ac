#pragma once
// numpy arrays as columns.

#include <string>

#include "bindings.hpp"

namespace pystream::python {

// One column. Zero-copy for contiguous, aligned, native-endian numbers; the buffer then holds a
// reference to `values`. The result has the type that fits the dtype best (`target` decides only
// between string and binary and for decimals and lists); cast_to does the rest. `mask` may be None.
Array from_numpy(const py::array& values, const py::object& mask, const DataType& target,
                 const std::string& column);

}  // namespace pystream::python
