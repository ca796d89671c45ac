#pragma once
// Values of columns as Python objects, and back. Loops over objects: they hold the interpreter
// lock.

#include <string>

#include "bindings.hpp"

namespace pystream::python {

// Row i of a string, binary or decimal128 array, encoded or not; None when null.
py::object object_at(const Array& array, int64_t i);

// All rows of a string, binary or decimal128 array. Equal entries of an encoded array share one
// object.
py::list to_objects(const Array& array);

// A binary array of bytes objects; None is null.
Array binary_column(const py::iterable& objects);

// A string, binary or decimal128 array of `type` from objects; None is null, and so is every row
// that `mask` (may be null; one byte per row) marks. Throws kSchema naming column and row.
Array from_objects(const py::array& objects, const uint8_t* mask, const DataType& type,
                   const std::string& column);

}  // namespace pystream::python
