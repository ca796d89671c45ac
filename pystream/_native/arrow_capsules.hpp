#pragma once
// The Arrow PyCapsule interface (https://arrow.apache.org/docs/format/CDataInterface/
// PyCapsuleInterface.html), both ways.

#include <vector>

#include "bindings.hpp"

namespace pystream::python {

py::capsule schema_capsule(const Schema& schema);
py::capsule field_capsule(const Field& field);
py::capsule array_capsule(const RecordBatch& batch);
py::capsule column_capsule(const Array& array);
py::capsule stream_capsule(SchemaPtr schema, std::vector<RecordBatch> batches);

// Batches of an object with __arrow_c_array__ or __arrow_c_stream__; cast to `target` when given.
// Throws kSchema when the object has neither.
std::vector<RecordBatch> batches_from_arrow(const py::object& source, const SchemaPtr& target);

SchemaPtr schema_from_arrow(const py::object& source);

}  // namespace pystream::python
