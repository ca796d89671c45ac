#include "numpy_export.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "numpy_lists.hpp"
#include "python_objects.hpp"

namespace pystream::python {

namespace {

std::string unit_of(const DataType& type) {
  constexpr const char* kUnits[] = {"s", "ms", "us", "ns"};
  return kUnits[static_cast<size_t>(type.unit)];
}

bool is_object_type(const DataType& type) {
  return type.is_var_binary() || type.id == TypeId::kDecimal128 || type.is_list();
}

// Why the values cannot be shown as they lie; empty when they can.
std::string copy_reason(const Array& array) {
  if (is_object_type(array.type)) return "numpy has no such type";
  if (array.type.is_bool()) return "it is bit-packed";
  if (array.type.id == TypeId::kDate32) return "numpy counts days in 64 bits";
  if (array.is_encoded()) return "it is dictionary-encoded";
  if (array.null_count > 0) return "it has " + std::to_string(array.null_count) + " nulls";
  return "";
}

// "object" for strings, binary, decimals and lists.
std::string numpy_dtype(const DataType& type) {
  if (is_object_type(type)) return "object";
  if (type.id == TypeId::kTimestamp) return "datetime64[" + unit_of(type) + "]";
  if (type.id == TypeId::kDuration) return "timedelta64[" + unit_of(type) + "]";
  if (type.id == TypeId::kDate32) return "datetime64[D]";
  return type.to_string();  // bool, int8 ... float64 have the same names
}

py::array new_array(const py::dtype& dtype, int64_t length) {
  return py::array(dtype, std::vector<py::ssize_t>{length});
}

py::array unpack_bools(const uint8_t* bits, int64_t length, bool inverted) {
  py::array_t<bool> out(length);
  bool* to = out.mutable_data();
  for (int64_t i = 0; i < length; ++i) to[i] = get_bit(bits, i) != inverted;
  return out;
}

py::array unpack_days(const Array& array) {
  py::array out = new_array(dtype_of(array.type), array.length);
  auto* to = static_cast<int64_t*>(out.mutable_data());
  for (int64_t i = 0; i < array.length; ++i) to[i] = array.data<int32_t>()[i];
  return out;
}

py::array copy_of_values(const Array& plain) {
  if (plain.type.is_bool()) return unpack_bools(plain.values.data, plain.length, false);
  if (plain.type.id == TypeId::kDate32) return unpack_days(plain);
  py::array out = new_array(dtype_of(plain.type), plain.length);
  const auto size = static_cast<size_t>(plain.length * plain.type.byte_width());
  if (size > 0) std::memcpy(out.mutable_data(), plain.values.data, size);
  return out;
}

template <typename T>
int64_t first_inexact(const Array& array) {
  for (int64_t i = 0; i < array.length; ++i) {
    const T value = array.data<T>()[i];
    const bool is_exact = static_cast<__int128>(static_cast<double>(value)) == value;
    if (!is_exact && array.is_valid(i)) return i;
  }
  return -1;
}

// float64 has room for NaN, but not for every 64-bit integer: never show a wrong one.
void check_exact_as_float(const Array& plain) {
  int64_t row = -1;
  if (plain.type.id == TypeId::kInt64) row = first_inexact<int64_t>(plain);
  if (plain.type.id == TypeId::kUInt64) row = first_inexact<uint64_t>(plain);
  if (row < 0) return;
  throw Error(ErrorCode::kSchema,
              "the column has nulls and is " + plain.type.to_string() + ", but row " +
                  std::to_string(row) +
                  " has no exact float64. Pass null_value to keep integers, or use to_arrow().",
              {{"row", row}});
}

// What stands for null when the caller names nothing; may change the array's dtype.
py::object default_null(const Array& plain, py::array* values) {
  const py::module_ numpy = py::module_::import("numpy");
  if (plain.type.is_integer()) {
    check_exact_as_float(plain);
    *values = values->attr("astype")("float64");
  }
  if (plain.type.is_bool()) {
    *values = values->attr("astype")("object");
    return py::none();
  }
  if (plain.type.is_temporal()) {
    // With the unit of the values: numpy gives up times without one.
    return numpy.attr("array")("NaT", dtype_of(plain.type));
  }
  return numpy.attr("nan");
}

py::array object_array(const Array& array, const py::object& null_value) {
  const py::list objects = to_objects(array);
  py::array out = new_array(py::dtype("O"), array.length);
  auto* to = static_cast<PyObject**>(out.mutable_data());
  for (int64_t i = 0; i < array.length; ++i) {
    const py::object item = objects[static_cast<size_t>(i)];
    Py_XDECREF(to[i]);
    to[i] = (array.is_valid(i) ? item : null_value).inc_ref().ptr();
  }
  return out;
}

}  // namespace

py::dtype dtype_of(const DataType& type) {
  // Made once per type, as a view costs less than its dtype; and never destroyed, as the
  // interpreter is gone by then.
  static py::handle made[std::numeric_limits<uint8_t>::max() + 1][4];
  py::handle& dtype = made[static_cast<size_t>(type.id)][static_cast<size_t>(type.unit)];
  if (!dtype) dtype = py::dtype::from_args(py::str(numpy_dtype(type))).release();
  return py::reinterpret_borrow<py::dtype>(dtype);
}

py::array view_of(const Array& array, const Buffer& buffer, const py::dtype& dtype,
                  const py::object& owner) {
  // Without rows there is no memory to keep alive, and numpy takes no null pointer.
  if (array.length == 0) return py::array(dtype, std::vector<py::ssize_t>{0});
  py::array out(dtype, array.length, buffer.data, owner);
  py::detail::array_proxy(out.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return out;
}

py::array to_numpy(const Array& array, bool zero_copy_only, const py::object& null_value,
                   py::object owner) {
  const std::string reason = copy_reason(array);
  if (reason.empty()) {
    if (!owner) owner = py::cast(array);
    return view_of(array, array.values, dtype_of(array.type), owner);
  }
  if (zero_copy_only) {
    throw Error(ErrorCode::kSchema, "a " + array.type.to_string() +
                                        " column cannot be shown without a copy: " + reason +
                                        ". Leave out zero_copy_only=True to get a copy.");
  }
  if (array.type.is_list()) return lists_to_numpy(array, null_value);
  if (is_object_type(array.type)) return object_array(array, null_value);
  Array plain;
  {
    const py::gil_scoped_release release;
    plain = decode_dictionary(array);
  }
  py::array values = copy_of_values(plain);
  if (plain.null_count == 0) return values;
  const py::object null = null_value.is_none() ? default_null(plain, &values) : null_value;
  py::module_::import("numpy").attr("copyto")(values, null, py::arg("where") = null_mask(plain));
  return values;
}

py::array null_mask(const Array& array) {
  if (array.null_count > 0) return unpack_bools(array.validity.data, array.length, true);
  py::array_t<bool> none(array.length);
  std::fill_n(none.mutable_data(), array.length, false);
  return none;
}

}  // namespace pystream::python
