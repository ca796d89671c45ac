#pragma once
// The one place where an Error of the core becomes a Python exception. Needs the interpreter lock.

#include "base/error.hpp"

namespace pystream::python {

// Sets the Python exception for `error`: the class of pystream.errors for its code, its facts as
// attributes.
void set_python_error(const Error& error);

// For Cython: `except +translate_exception`. Called inside a catch block; whatever is no Error of
// the core becomes what the standard library's exceptions usually become.
void translate_exception();

}  // namespace pystream::python
