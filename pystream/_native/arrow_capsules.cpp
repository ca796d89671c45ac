#include "arrow_capsules.hpp"

#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/arrow_c.hpp"
#include "columns/cast.hpp"

namespace pystream::python {

namespace {

template <typename Struct>
struct Release {
  void operator()(Struct* held) const {
    if (held->release != nullptr) held->release(held);
    delete held;
  }
};

template <typename Struct>
using Owned = std::unique_ptr<Struct, Release<Struct>>;

// Released by whoever comes last: a consumer that moved the content out has set release to null.
template <typename Struct>
py::capsule make_capsule(Owned<Struct> owned, const char* name) {
  py::capsule capsule(owned.get(), name, [](PyObject* self) {
    Release<Struct>()(static_cast<Struct*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self))));
  });
  owned.release();
  return capsule;
}

template <typename Struct, typename Export>
py::capsule export_capsule(const char* name, Export fill) {
  Owned<Struct> owned(new Struct{});
  {
    const py::gil_scoped_release release;  // decoding or encoding a dictionary may copy columns
    fill(owned.get());
  }
  return make_capsule(std::move(owned), name);
}

template <typename Struct>
Struct* content(const py::object& object, const char* name) {
  auto* held = static_cast<Struct*>(PyCapsule_GetPointer(object.ptr(), name));
  if (held == nullptr) throw py::error_already_set();
  return held;
}

// Pulls everything from a stream. The lock is free meanwhile: producers in Python take it again.
std::vector<RecordBatch> drain(ArrowArrayStream* stream, const SchemaPtr& target) {
  const py::gil_scoped_release release;
  ArrowSchema schema{};
  const int code = stream->get_schema(stream, &schema);
  if (code != 0) {
    const char* message = stream->get_last_error(stream);
    throw Error(ErrorCode::kSchema,
                "the Arrow stream gave no schema (code " + std::to_string(code) +
                    "): " + (message == nullptr ? "no message" : message) + ". Check its source.");
  }
  const std::unique_ptr<ArrowSchema, void (*)(ArrowSchema*)> held(
      &schema, [](ArrowSchema* got) { got->release(got); });
  std::vector<RecordBatch> batches;
  RecordBatch batch;
  while (import_next(stream, schema, &batch, target.get())) {
    batches.push_back(target ? cast_to(batch, target, "") : std::move(batch));
  }
  if (batches.empty() && target) {
    // No rows to complain about, but the columns must fit all the same.
    RecordBatch none{import_schema(schema, target.get()), 0, {}};
    for (const Field& field : none.schema->fields)
      none.columns.push_back(make_nulls(field.type, 0));
    cast_to(none, target, "");
  }
  return batches;
}

}  // namespace

py::capsule schema_capsule(const Schema& schema) {
  return export_capsule<ArrowSchema>("arrow_schema",
                                     [&](ArrowSchema* out) { export_schema(schema, out); });
}

py::capsule field_capsule(const Field& field) {
  return export_capsule<ArrowSchema>("arrow_schema",
                                     [&](ArrowSchema* out) { export_field(field, out); });
}

py::capsule array_capsule(const RecordBatch& batch) {
  return export_capsule<ArrowArray>("arrow_array",
                                    [&](ArrowArray* out) { export_array(batch, out); });
}

py::capsule column_capsule(const Array& array) {
  return export_capsule<ArrowArray>("arrow_array",
                                    [&](ArrowArray* out) { export_column(array, out); });
}

py::capsule stream_capsule(SchemaPtr schema, std::vector<RecordBatch> batches) {
  auto next = [held = std::move(batches), at = size_t{0}](RecordBatch* out) mutable {
    if (at == held.size()) return false;
    *out = std::move(held[at++]);
    return true;
  };
  return export_capsule<ArrowArrayStream>("arrow_array_stream", [&](ArrowArrayStream* out) {
    export_stream(std::move(schema), std::move(next), out);
  });
}

std::vector<RecordBatch> batches_from_arrow(const py::object& source, const SchemaPtr& target) {
  if (py::hasattr(source, "__arrow_c_array__")) {
    const py::tuple capsules = source.attr("__arrow_c_array__")();
    const auto* schema = content<ArrowSchema>(capsules[0], "arrow_schema");
    auto* array = content<ArrowArray>(capsules[1], "arrow_array");
    const py::gil_scoped_release release;
    RecordBatch batch = import_array(*schema, array, target.get());
    return {target ? cast_to(batch, target, "") : std::move(batch)};
  }
  if (py::hasattr(source, "__arrow_c_stream__")) {
    const py::object capsule = source.attr("__arrow_c_stream__")();
    return drain(content<ArrowArrayStream>(capsule, "arrow_array_stream"), target);
  }
  throw Error(ErrorCode::kSchema,
              "expected an object with __arrow_c_array__ or __arrow_c_stream__ (pyarrow, pandas, "
              "polars, duckdb), got " +
                  py::str(py::type::of(source)).cast<std::string>() + ". Convert it first.");
}

SchemaPtr schema_from_arrow(const py::object& source) {
  if (!py::hasattr(source, "__arrow_c_schema__")) {
    throw Error(ErrorCode::kSchema, "expected an object with __arrow_c_schema__, got " +
                                        py::str(py::type::of(source)).cast<std::string>() +
                                        ". Convert it first.");
  }
  const py::object capsule = source.attr("__arrow_c_schema__")();
  return import_schema(*content<ArrowSchema>(capsule, "arrow_schema"));
}

}  // namespace pystream::python
