// DataType, Schema, Array, RecordBatch. The contract is _core.pyi.

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "arrow_capsules.hpp"
#include "base/error.hpp"
#include "bindings.hpp"
#include "columns/cast.hpp"
#include "numpy_export.hpp"
#include "numpy_import.hpp"
#include "python_objects.hpp"

namespace pystream::python {

namespace {

using FieldTuple = std::tuple<std::string, DataType, bool>;

bool has_unit(const DataType& type) {
  return type.id == TypeId::kTimestamp || type.id == TypeId::kDuration;
}

void bind_data_type(py::module_& module) {
  constexpr const char* kUnits[] = {"s", "ms", "us", "ns"};
  py::class_<DataType>(module, "DataType")
      .def(py::init(&DataType::parse), py::arg("text"))
      .def_property_readonly("kind",
                             [](const DataType& self) {
                               if (self.is_dictionary) return std::string("string");
                               const std::string text = self.to_string();
                               return text.substr(0, text.find_first_of("[("));
                             })
      .def_property_readonly("unit",
                             [kUnits](const DataType& self) -> py::object {
                               if (!has_unit(self)) return py::none();
                               return py::str(kUnits[static_cast<size_t>(self.unit)]);
                             })
      .def_property_readonly("timezone",
                             [](const DataType& self) -> py::object {
                               if (self.timezone.empty()) return py::none();
                               return py::str(self.timezone);
                             })
      .def_property_readonly("precision",
                             [](const DataType& self) -> py::object {
                               if (self.id != TypeId::kDecimal128) return py::none();
                               return py::int_(self.precision);
                             })
      .def_property_readonly("scale",
                             [](const DataType& self) -> py::object {
                               if (self.id != TypeId::kDecimal128) return py::none();
                               return py::int_(self.scale);
                             })
      .def_readonly("is_dictionary", &DataType::is_dictionary)
      .def("numpy_dtype",
           [](const DataType& self) { return py::dtype::from_args(py::str(numpy_dtype(self))); })
      .def(
          "__eq__", [](const DataType& self, const DataType& other) { return self == other; },
          py::is_operator())
      .def("__hash__", [](const DataType& self) { return py::hash(py::str(self.to_string())); })
      .def("__str__", &DataType::to_string)
      .def("__repr__", [](const DataType& self) { return "DataType('" + self.to_string() + "')"; });
}

SchemaHandle make_schema(const py::iterable& fields) {
  auto schema = std::make_shared<Schema>();
  std::set<std::string> names;
  for (const py::handle item : fields) {
    auto [name, type, nullable] = item.cast<FieldTuple>();
    if (name.empty()) throw Error(ErrorCode::kConfig, "a column has no name. Name it.");
    if (!names.insert(name).second) {
      throw Error(ErrorCode::kConfig, "column '" + name + "' appears twice. Rename one.",
                  {{"column", name}});
    }
    schema->fields.push_back({std::move(name), std::move(type), nullable});
  }
  if (schema->fields.size() > kMaxSchemaFields) {
    throw Error(ErrorCode::kConfig, "a schema may have " + std::to_string(kMaxSchemaFields) +
                                        " columns, got " + std::to_string(schema->fields.size()) +
                                        ". Split the topic.");
  }
  return schema;
}

void bind_schema(py::module_& module) {
  py::class_<Schema, SchemaHandle>(module, "Schema")
      .def(py::init(&make_schema), py::arg("fields"))
      .def_static(
          "deserialize",
          [](const py::bytes& data) {
            const std::string_view bytes = data;
            return std::make_shared<Schema>(Schema::deserialize(
                {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
          },
          py::arg("data"))
      .def_static(
          "from_arrow",
          [](const py::object& source) { return to_handle(schema_from_arrow(source)); },
          py::arg("obj"))
      .def("serialize",
           [](const Schema& self) {
             const std::vector<uint8_t> blob = self.serialize();
             return py::bytes(reinterpret_cast<const char*>(blob.data()), blob.size());
           })
      .def_property_readonly("fields",
                             [](const Schema& self) {
                               std::vector<FieldTuple> fields;
                               for (const Field& field : self.fields) {
                                 fields.emplace_back(field.name, field.type, field.nullable);
                               }
                               return fields;
                             })
      .def_property_readonly("names",
                             [](const Schema& self) {
                               std::vector<std::string> names;
                               for (const Field& field : self.fields) names.push_back(field.name);
                               return names;
                             })
      .def(
          "index_of",
          [](const Schema& self, const std::string& name) { return self.index_of(name); },
          py::arg("name"))
      .def("__arrow_c_schema__", [](const Schema& self) { return schema_capsule(self); })
      .def("__len__", &Schema::size)
      .def(
          "__eq__", [](const Schema& self, const Schema& other) { return self == other; },
          py::is_operator())
      .def("__hash__", [](const Schema& self) { return py::hash(py::str(self.to_string())); })
      .def("__str__", &Schema::to_string)
      .def("__repr__", [](const Schema& self) { return "Schema(" + self.to_string() + ")"; });
}

void check_range(int64_t begin, int64_t length, int64_t rows) {
  if (begin >= 0 && length >= 0 && begin <= rows && length <= rows - begin) return;
  throw py::index_error("rows [" + std::to_string(begin) + ", " + std::to_string(begin) + " + " +
                        std::to_string(length) + ") do not lie within " + std::to_string(rows) +
                        " rows");
}

std::vector<int32_t> checked_indices(
    const py::array_t<int64_t, py::array::c_style | py::array::forcecast>& given, int64_t rows) {
  std::vector<int32_t> indices(static_cast<size_t>(given.size()));
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t row = given.data()[i];
    if (row < 0 || row >= rows) {
      throw py::index_error("row " + std::to_string(row) + " does not exist in " +
                            std::to_string(rows) + " rows");
    }
    indices[i] = static_cast<int32_t>(row);
  }
  return indices;
}

// Indices as integers only: numpy would round floats silently.
std::vector<int32_t> indices_of(const py::array& given, int64_t rows) {
  const char kind = given.dtype().kind();
  if (given.ndim() != 1 || (kind != 'i' && kind != 'u')) {
    throw py::type_error("take() needs a one-dimensional array of integers");
  }
  return checked_indices(given, rows);
}

py::object item(const Array& self, int64_t row) {
  if (row < 0) row += self.length;
  if (row < 0 || row >= self.length) {
    throw py::index_error("row " + std::to_string(row) + " does not exist in " +
                          std::to_string(self.length) + " rows");
  }
  if (!self.is_valid(row)) return py::none();
  if (self.type.is_var_binary() || self.type.id == TypeId::kDecimal128) {
    return object_at(self, row);
  }
  return to_numpy(slice(self, row, 1), false, py::none()).attr("tolist")()[py::int_(0)];
}

py::list to_pylist(const Array& self) {
  if (self.type.is_var_binary() || self.type.id == TypeId::kDecimal128) return to_objects(self);
  if (self.null_count == 0) return to_numpy(self, false, py::none()).attr("tolist")();
  // Values under nulls are shown as they lie and then replaced, so that integers stay integers.
  Array shown = self;
  shown.null_count = 0;
  shown.validity = {};
  py::list values = to_numpy(shown, false, py::none()).attr("tolist")();
  for (int64_t i = 0; i < self.length; ++i) {
    if (!self.is_valid(i)) values[static_cast<size_t>(i)] = py::none();
  }
  return values;
}

Array encoded(const Array& array) {
  if (!array.is_encoded() && !array.type.is_var_binary()) {
    throw Error(ErrorCode::kSchema, "a " + array.type.to_string() +
                                        " column is not dictionary-encoded. Use to_numpy().");
  }
  const py::gil_scoped_release release;
  return encode_dictionary(array);
}

void bind_array(py::module_& module) {
  py::class_<Array>(module, "Array")
      .def_property_readonly("type", [](const Array& self) { return self.type; })
      .def_readonly("null_count", &Array::null_count)
      .def_property_readonly("nbytes", &referenced_bytes)
      .def_property_readonly("is_encoded", &Array::is_encoded)
      .def("to_numpy", &to_numpy, py::kw_only(), py::arg("zero_copy_only") = false,
           py::arg("null_value") = py::none())
      .def("to_pylist", &to_pylist)
      .def("null_mask", &null_mask)
      .def("codes",
           [](const Array& self) {
             const Array coded = encoded(self);
             return view_of(coded, coded.values, "int32");
           })
      .def("dictionary", [](const Array& self) { return Array(*encoded(self).dictionary); })
      .def("encode", &encoded)
      .def("decode", &decode_dictionary, py::call_guard<py::gil_scoped_release>())
      .def(
          "slice",
          [](const Array& self, int64_t begin, int64_t length) {
            check_range(begin, length, self.length);
            return slice(self, begin, length);
          },
          py::arg("begin"), py::arg("length"))
      .def(
          "take",
          [](const Array& self, const py::array& given) {
            const auto indices = indices_of(given, self.length);
            const py::gil_scoped_release release;
            return take(self, indices);
          },
          py::arg("indices"))
      .def("equals", &equal_rows, py::arg("other"), py::call_guard<py::gil_scoped_release>())
      .def("__getitem__", &item, py::arg("row"))
      .def("__arrow_c_schema__",
           [](const Array& self) { return field_capsule({"", self.type, true}); })
      .def(
          "__arrow_c_array__",
          [](const Array& self, const py::object&) {
            return py::make_tuple(field_capsule({"", self.type, true}), column_capsule(self));
          },
          py::arg("requested_schema") = py::none())
      .def("__len__", [](const Array& self) { return self.length; })
      .def("__repr__", [](const Array& self) {
        return "Array(" + self.type.to_string() + ", " + std::to_string(self.length) + " rows)";
      });
}

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
}

}  // namespace

void bind_columns(py::module_& module) {
  bind_data_type(module);
  bind_schema(module);
  bind_array(module);
  bind_record_batch(module);
  module.def(
      "export_stream",
      [](const SchemaHandle& schema, std::vector<RecordBatch> batches) {
        return stream_capsule(schema, std::move(batches));
      },
      py::arg("schema"), py::arg("batches"));
}

}  // namespace pystream::python
