// RecordBatch. The contract is _core.pyi.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrow_capsules.hpp"
#include "base/error.hpp"
#include "bindings.hpp"
#include "columns/cast.hpp"
#include "numpy_export.hpp"
#include "numpy_import.hpp"
#include "row_indices.hpp"

namespace pystream::python {

namespace {

RecordBatch make_batch(const SchemaHandle& schema, const std::vector<Array>& columns) {
  if (columns.size() != schema->fields.size()) {
    throw Error(ErrorCode::kSchema, "the schema has " + std::to_string(schema->fields.size()) +
                                        " columns, got " + std::to_string(columns.size()) + ".");
  }
  RecordBatch batch{schema, columns.empty() ? 0 : columns[0].length, columns};
  for (size_t i = 0; i < columns.size(); ++i) {
    const Field& field = schema->fields[i];
    if (columns[i].type != field.type) {
      throw Error(ErrorCode::kSchema,
                  "column '" + field.name + "' expects " + field.type.to_string() + ", got " +
                      columns[i].type.to_string() + ". Use cast_to().",
                  {{"column", field.name},
                   {"expected", field.type.to_string()},
                   {"got", columns[i].type.to_string()}});
    }
    if (columns[i].length != batch.num_rows) {
      throw Error(ErrorCode::kSchema,
                  "column '" + field.name + "' has " + std::to_string(columns[i].length) +
                      " rows, column '" + schema->fields[0].name + "' has " +
                      std::to_string(batch.num_rows) + ". Columns must be equally long.",
                  {{"column", field.name}});
    }
  }
  return batch;
}

// The types as they come from numpy, then cast_to.
RecordBatch batch_from_numpy(const SchemaHandle& target, const py::dict& columns,
                             const py::object& masks) {
  auto schema = std::make_shared<Schema>();
  std::vector<Array> arrays;
  for (const auto& [key, value] : columns) {
    const auto name = key.cast<std::string>();
    const int at = target->index_of(name);
    const DataType wanted = at < 0 ? DataType{} : target->fields[static_cast<size_t>(at)].type;
    const py::array values = py::array::ensure(value);
    if (!values) throw py::error_already_set();
    const py::object mask =
        masks.is_none() ? py::none() : py::object(masks.attr("get")(key, py::none()));
    arrays.push_back(from_numpy(values, mask, wanted, name));
    schema->fields.push_back({name, arrays.back().type, true});
  }
  const RecordBatch batch = make_batch(schema, arrays);
  const py::gil_scoped_release release;
  return cast_to(batch, target, "");
}

RecordBatch select(const RecordBatch& self, const std::vector<int>& indices) {
  auto schema = std::make_shared<Schema>();
  RecordBatch out{nullptr, self.num_rows, {}};
  for (const int index : indices) {
    const auto at = static_cast<size_t>(index);
    schema->fields.push_back(self.schema->fields.at(at));
    out.columns.push_back(self.columns.at(at));
  }
  out.schema = std::move(schema);
  return out;
}

bool equal_batches(const RecordBatch& left, const RecordBatch& right) {
  if (!(*left.schema == *right.schema) || left.num_rows != right.num_rows) return false;
  for (size_t i = 0; i < left.columns.size(); ++i) {
    if (!equal_rows(left.columns[i], right.columns[i])) return false;
  }
  return true;
}

int64_t batch_bytes(const RecordBatch& batch) {
  int64_t bytes = 0;
  for (const Array& column : batch.columns) bytes += referenced_bytes(column);
  return bytes;
}

RecordBatch concat_batches(const std::vector<RecordBatch>& batches) {
  if (batches.empty()) throw py::value_error("concat() needs at least one batch");
  for (const RecordBatch& batch : batches) {
    if (*batch.schema == *batches[0].schema) continue;
    throw Error(ErrorCode::kSchema,
                "batches of different schemas cannot be joined: " + batches[0].schema->to_string() +
                    " and " + batch.schema->to_string() + ". Use cast_to() first.");
  }
  const py::gil_scoped_release release;
  return concat(std::span<const RecordBatch>(batches));
}

constexpr const char* kBatchCapsule = "pystream.RecordBatch";

py::capsule to_capsule(const RecordBatch& batch) {
  auto owned = std::make_unique<RecordBatch>(batch);
  py::capsule capsule(owned.get(), kBatchCapsule, [](PyObject* self) {
    delete static_cast<RecordBatch*>(PyCapsule_GetPointer(self, kBatchCapsule));
  });
  owned.release();
  return capsule;
}

RecordBatch from_capsule(const py::object& capsule) {
  const auto* batch =
      static_cast<const RecordBatch*>(PyCapsule_GetPointer(capsule.ptr(), kBatchCapsule));
  if (batch == nullptr) throw py::error_already_set();
  return *batch;
}

void bind_batch_exchange(py::class_<RecordBatch>& batch) {
  batch
      .def_static(
          "from_arrow",
          [](const py::object& source, const SchemaHandle& schema) {
            return batches_from_arrow(source, schema);
          },
          py::arg("obj"), py::arg("schema") = py::none())
      .def_static("from_numpy", &batch_from_numpy, py::arg("schema"), py::arg("columns"),
                  py::arg("masks") = py::none())
      .def("__arrow_c_schema__",
           [](const RecordBatch& self) { return schema_capsule(*self.schema); })
      .def(
          "__arrow_c_array__",
          [](const RecordBatch& self, const py::object&) {
            return py::make_tuple(schema_capsule(*self.schema), array_capsule(self));
          },
          py::arg("requested_schema") = py::none())
      .def(
          "__arrow_c_stream__",
          [](const RecordBatch& self, const py::object&) {
            return stream_capsule(self.schema, {self});
          },
          py::arg("requested_schema") = py::none())
      .def("_capsule", &to_capsule)
      .def_static("_from_capsule", &from_capsule, py::arg("capsule"));
}

}  // namespace

void bind_record_batch(py::module_& module) {
  py::class_<RecordBatch> batch(module, "RecordBatch");
  batch.def(py::init(&make_batch), py::arg("schema"), py::arg("columns"))
      .def(
          "cast_to",
          [](const RecordBatch& self, const SchemaHandle& schema, const std::string& topic) {
            return cast_to(self, schema, topic);
          },
          py::arg("schema"), py::arg("topic") = "", py::call_guard<py::gil_scoped_release>())
      .def_static("concat", &concat_batches, py::arg("batches"))
      .def_readonly("num_rows", &RecordBatch::num_rows)
      .def_property_readonly("num_columns",
                             [](const RecordBatch& self) { return self.columns.size(); })
      .def_property_readonly("nbytes", &batch_bytes)
      .def_property_readonly("schema",
                             [](const RecordBatch& self) { return to_handle(self.schema); })
      .def(
          "column", [](const RecordBatch& self, size_t index) { return self.columns.at(index); },
          py::arg("index"))
      .def(
          "column_numpy",
          [](const RecordBatch& self, size_t index) {
            return to_numpy(self.columns.at(index), true, py::none());
          },
          py::arg("index"))
      .def("select", &select, py::arg("indices"))
      .def(
          "slice",
          [](const RecordBatch& self, int64_t begin, int64_t length) {
            check_range(begin, length, self.num_rows);
            return self.slice(begin, length);
          },
          py::arg("begin"), py::arg("length"))
      .def(
          "take",
          [](const RecordBatch& self, const py::array& given) {
            const auto indices = indices_of(given, self.num_rows);
            const py::gil_scoped_release release;
            return self.take(indices);
          },
          py::arg("indices"))
      .def("equals", &equal_batches, py::arg("other"), py::call_guard<py::gil_scoped_release>())
      .def("__len__", [](const RecordBatch& self) { return self.num_rows; })
      .def("__repr__", [](const RecordBatch& self) {
        return "RecordBatch(" + std::to_string(self.num_rows) +
               " rows: " + self.schema->to_string() + ")";
      });
  bind_batch_exchange(batch);
  module.def(
      "export_stream",
      [](const SchemaHandle& schema, std::vector<RecordBatch> batches) {
        return stream_capsule(schema, std::move(batches));
      },
      py::arg("schema"), py::arg("batches"));
}

}  // namespace pystream::python
