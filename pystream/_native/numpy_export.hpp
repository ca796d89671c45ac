#pragma once
// Arrays as numpy sees them.

#include "bindings.hpp"

namespace pystream::python {

// Of a column without nulls (object for strings, binary, decimals and lists).
py::dtype dtype_of(const DataType& type);

// See Array.to_numpy in _core.pyi. `null_value` may be None. `owner`: what keeps the array alive as
// the base of a view; a new handle of the array when there is none.
py::array to_numpy(const Array& array, bool zero_copy_only, const py::object& null_value,
                   py::object owner = {});

// True where null; a copy.
py::array null_mask(const Array& array);

// A read-only view of `buffer`, whose base is `owner`.
py::array view_of(const Array& array, const Buffer& buffer, const py::dtype& dtype,
                  const py::object& owner);

}  // namespace pystream::python
