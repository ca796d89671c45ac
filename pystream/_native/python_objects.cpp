#include "python_objects.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::python {

namespace {

using Int128 = __int128;

std::string digits_of(Int128 value) {
  const bool is_negative = value < 0;
  std::string digits;
  do {
    const int digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (digit < 0 ? -digit : digit));
    value /= 10;
  } while (value != 0);
  if (is_negative) digits += '-';
  return {digits.rbegin(), digits.rend()};
}

// Reads values of one plain array; looks the decimal class up once.
class ObjectReader {
 public:
  explicit ObjectReader(const Array& plain) : array_(plain) {
    if (plain.type.id == TypeId::kDecimal128) {
      decimal_ = py::module_::import("decimal").attr("Decimal");
    }
  }

  py::object at(int64_t i) const {
    if (array_.type.id == TypeId::kDecimal128) {
      Int128 value;
      std::memcpy(&value, array_.values.data + i * 16, sizeof(value));
      return decimal_(digits_of(value) + "E" + std::to_string(-array_.type.scale));
    }
    const std::string_view value = array_.view(i);
    const auto size = static_cast<Py_ssize_t>(value.size());
    PyObject* object = array_.type.id == TypeId::kString
                           ? PyUnicode_DecodeUTF8(value.data(), size, nullptr)
                           : PyBytes_FromStringAndSize(value.data(), size);
    if (object == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(object);
  }

 private:
  const Array& array_;
  py::object decimal_;
};

[[noreturn]] void throw_bad_object(const std::string& column, const DataType& type, PyObject* got,
                                   int64_t row, const std::string& why) {
  const std::string got_type = Py_TYPE(got)->tp_name;
  throw Error(
      ErrorCode::kSchema,
      "column '" + column + "' expects " + type.to_string() + ", got " + got_type + " in row " +
          std::to_string(row) + why + ". Convert the column first.",
      {{"column", column}, {"expected", type.to_string()}, {"got", got_type}, {"row", row}});
}

void append_text(PyObject* object, int64_t row, const std::string& column,
                 VarBinaryBuilder* builder) {
  const DataType type = DataType::of(TypeId::kString);
  if (!PyUnicode_Check(object)) throw_bad_object(column, type, object, row, "");
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text == nullptr) {
    PyErr_Clear();
    throw_bad_object(column, type, object, row, " with a lone surrogate, which is no UTF-8");
  }
  builder->append({text, static_cast<size_t>(size)});
}

void append_bytes(PyObject* object, int64_t row, const std::string& column,
                  VarBinaryBuilder* builder) {
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) {
    PyErr_Clear();
    throw_bad_object(column, DataType::of(TypeId::kBinary), object, row, "");
  }
  builder->append({static_cast<const char*>(view.buf), static_cast<size_t>(view.len)});
  PyBuffer_Release(&view);
}

// `object`, a decimal.Decimal, in units of 10^-scale; nullopt when it does not fit exactly.
std::optional<Int128> unscaled(const py::object& object, const DataType& type) {
  const py::tuple parts = object.attr("as_tuple")();
  if (!py::isinstance<py::int_>(parts[2])) return std::nullopt;  // NaN and infinity
  auto digits = parts[1].cast<std::vector<int>>();
  int64_t shift = parts[2].cast<int64_t>() + type.scale;
  while (!digits.empty() && digits.back() == 0) {
    digits.pop_back();
    ++shift;
  }
  if (digits.empty()) return 0;
  // The last digit is not zero, so the number is exact only when no digit lies below the scale.
  const int64_t length = static_cast<int64_t>(digits.size()) + shift;
  if (shift < 0 || length > type.precision) return std::nullopt;
  Int128 value = 0;
  for (const int digit : digits) value = value * 10 + digit;
  for (int64_t i = 0; i < shift; ++i) value *= 10;
  return parts[0].cast<int>() != 0 ? -value : value;
}

Array decimals_from(PyObject* const* objects, int64_t length, const uint8_t* mask,
                    const DataType& type, const std::string& column) {
  const py::object decimal = py::module_::import("decimal").attr("Decimal");
  FixedBuilder<Int128> builder(type);
  for (int64_t i = 0; i < length; ++i) {
    const auto object = py::reinterpret_borrow<py::object>(objects[i]);
    if (object.is_none() || (mask != nullptr && mask[i] != 0)) {
      builder.append_null();
      continue;
    }
    if (!py::isinstance(object, decimal)) throw_bad_object(column, type, object.ptr(), i, "");
    const auto value = unscaled(object, type);
    if (!value) {
      throw_bad_object(column, type, object.ptr(), i,
                       " (" + py::str(object).cast<std::string>() + "), which does not fit");
    }
    builder.append(*value);
  }
  return builder.finish();
}

}  // namespace

py::object object_at(const Array& array, int64_t i) {
  if (!array.is_valid(i)) return py::none();
  if (array.is_encoded()) return ObjectReader(*array.dictionary).at(array.codes()[i]);
  return ObjectReader(array).at(i);
}

py::list to_objects(const Array& array) {
  std::vector<py::object> entries;
  if (array.is_encoded()) {
    const ObjectReader reader(*array.dictionary);
    for (int64_t i = 0; i < array.dictionary->length; ++i) entries.push_back(reader.at(i));
  }
  const ObjectReader reader(array);
  py::list objects(static_cast<size_t>(array.length));
  for (int64_t i = 0; i < array.length; ++i) {
    py::object object = py::none();
    if (array.is_valid(i)) {
      object = array.is_encoded() ? entries[static_cast<size_t>(array.codes()[i])] : reader.at(i);
    }
    PyList_SET_ITEM(objects.ptr(), i, object.release().ptr());
  }
  return objects;
}

Array binary_column(const py::iterable& objects) {
  VarBinaryBuilder column(DataType::of(TypeId::kBinary));
  for (const py::handle object : objects) {
    if (object.is_none()) {
      column.append_null();
    } else {
      column.append(std::string_view(object.cast<py::bytes>()));
    }
  }
  return column.finish();
}

Array from_objects(const py::array& objects, const uint8_t* mask, const DataType& type,
                   const std::string& column) {
  const auto* items = static_cast<PyObject* const*>(objects.data());
  const int64_t length = objects.size();
  if (type.id == TypeId::kDecimal128) return decimals_from(items, length, mask, type, column);
  VarBinaryBuilder builder(DataType::of(type.id));
  const auto append = type.id == TypeId::kString ? append_text : append_bytes;
  for (int64_t i = 0; i < length; ++i) {
    if (items[i] == Py_None || (mask != nullptr && mask[i] != 0)) {
      builder.append_null();
    } else {
      append(items[i], i, column, &builder);
    }
  }
  return builder.finish();
}

}  // namespace pystream::python
