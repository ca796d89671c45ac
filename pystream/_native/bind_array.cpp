// Array. The contract is _core.pyi.

#include <string>

#include "arrow_capsules.hpp"
#include "base/error.hpp"
#include "bindings.hpp"
#include "numpy_export.hpp"
#include "numpy_lists.hpp"
#include "python_objects.hpp"
#include "row_indices.hpp"

namespace pystream::python {

namespace {

py::object item(const Array& self, int64_t row) {
  if (row < 0) row += self.length;
  if (row < 0 || row >= self.length) {
    throw py::index_error("row " + std::to_string(row) + " does not exist in " +
                          std::to_string(self.length) + " rows");
  }
  if (!self.is_valid(row)) return py::none();
  if (self.type.is_list()) return lists_to_pylist(slice(self, row, 1))[0];
  if (self.type.is_var_binary() || self.type.id == TypeId::kDecimal128) {
    return object_at(self, row);
  }
  return to_numpy(slice(self, row, 1), false, py::none()).attr("tolist")()[py::int_(0)];
}

py::list to_pylist(const Array& self) {
  if (self.type.is_list()) return lists_to_pylist(self);
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

}  // namespace

void bind_array(py::module_& module) {
  py::class_<Array>(module, "Array")
      .def_property_readonly("type", [](const Array& self) { return self.type; })
      .def_readonly("null_count", &Array::null_count)
      .def_property_readonly("nbytes", &referenced_bytes)
      .def_property_readonly("is_encoded", &Array::is_encoded)
      .def(
          "to_numpy",
          [](const py::object& self, bool zero_copy_only, const py::object& null_value) {
            return to_numpy(self.cast<const Array&>(), zero_copy_only, null_value, self);
          },
          py::arg("zero_copy_only") = false, py::arg("null_value") = py::none())
      .def("to_pylist", &to_pylist)
      .def("null_mask", &null_mask)
      .def("codes",
           [](const Array& self) {
             const Array coded = encoded(self);
             return view_of(coded, coded.values, dtype_of(DataType::of(TypeId::kInt32)),
                            py::cast(coded));
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

}  // namespace pystream::python
