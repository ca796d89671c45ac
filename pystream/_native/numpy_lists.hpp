#pragma once
// Columns of lists as numpy sees them, and back. They loop over objects: they hold the interpreter
// lock.

#include <string>

#include "bindings.hpp"

namespace pystream::python {

// An object array with an array of the elements per row, all of one dtype and views of one block;
// `null_value` where a list is null. The elements are as to_numpy() gives them.
py::array lists_to_numpy(const Array& lists, const py::object& null_value);

// A list of Python objects per row, None where null.
py::list lists_to_pylist(const Array& lists);

// A list array out of arrays or sequences, or out of the rows of an array of two dimensions. None
// is null, as a list and in one, and so is every row that `mask` (may be null; one byte per row)
// marks. The elements have the type that fits them best: cast_to does the rest. Throws kSchema
// naming column and row.
Array lists_from_numpy(const py::array& values, const uint8_t* mask, const DataType& target,
                       const std::string& column);

}  // namespace pystream::python
