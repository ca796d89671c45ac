// DataType and Schema. The contract is _core.pyi.

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrow_capsules.hpp"
#include "base/error.hpp"
#include "bindings.hpp"
#include "numpy_export.hpp"

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
                               return text.substr(0, text.find_first_of("[(<"));
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
      .def_property_readonly("element",
                             [](const DataType& self) -> py::object {
                               if (!self.is_list()) return py::none();
                               return py::cast(*self.element);
                             })
      .def_readonly("is_dictionary", &DataType::is_dictionary)
      .def("numpy_dtype", &dtype_of)
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

}  // namespace

void bind_types(py::module_& module) {
  bind_data_type(module);
  bind_schema(module);
}

}  // namespace pystream::python
