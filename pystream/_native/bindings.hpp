#pragma once
// What the binding files share. Handles of immutable core objects are held by shared_ptr; `const`
// is cast away for pybind11's holders only, no binding changes them.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "columns/record_batch.hpp"

namespace pystream::python {

namespace py = pybind11;

using SchemaHandle = std::shared_ptr<Schema>;

inline SchemaHandle to_handle(SchemaPtr schema) {
  return std::const_pointer_cast<Schema>(std::move(schema));
}

// One per file; core_module.cpp calls them.
void bind_types(py::module_& module);
void bind_array(py::module_& module);
void bind_record_batch(py::module_& module);
void bind_reader(py::module_& module);
void bind_repair(py::module_& module);
void bind_expressions(py::module_& module);
void bind_executor(py::module_& module);
void bind_runtime(py::module_& module);
void bind_storage(py::module_& module);
void bind_tail_watch(py::module_& module);
void bind_topic_writer(py::module_& module);
void bind_trigger(py::module_& module);
void bind_user_aggregate(py::module_& module);
void bind_verify(py::module_& module);

}  // namespace pystream::python
