#include "numpy_lists.hpp"

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "numpy_export.hpp"
#include "numpy_import.hpp"

namespace pystream::python {

namespace {

// What is in the rows of `lists`, and nothing else.
Array used_elements(const Array& lists) {
  const int32_t* offsets = lists.offsets.as<int32_t>();
  return slice(*lists.elements, offsets[0], offsets[lists.length] - offsets[0]);
}

[[noreturn]] void throw_no_list(const std::string& column, const DataType& target, int64_t row,
                                const std::string& got) {
  throw Error(ErrorCode::kSchema,
              "column '" + column + "' expects " + target.to_string() + ", got " + got +
                  " in row " + std::to_string(row) +
                  ". Give each row an array or a list of such values, or None.",
              {{"column", column}, {"expected", target.to_string()}, {"got", got}, {"row", row}});
}

std::string type_name(const py::handle& object) { return Py_TYPE(object.ptr())->tp_name; }

// Gathers the elements of one row after the other; nulls among them are left out until the end.
class ListGatherer {
 public:
  ListGatherer(const DataType& target, const std::string& column)
      : target_(target),
        column_(column),
        numpy_(py::module_::import("numpy")),
        masked_type_(numpy_.attr("ma").attr("MaskedArray")),
        holds_objects_(target.element->is_var_binary() ||
                       target.element->id == TypeId::kDecimal128) {}

  void add_null() { end_row(false); }

  void add(const py::object& item, int64_t row) {
    if (PyUnicode_Check(item.ptr()) || PyBytes_Check(item.ptr()) || !PySequence_Check(item.ptr())) {
      throw_no_list(column_, target_, row, type_name(item));
    }
    py::array part = as_array(item, row);
    if (part.ndim() != 1) {
      throw_no_list(column_, target_, row,
                    std::to_string(part.ndim()) + " dimensions of " + type_name(item));
    }
    if (part.dtype().kind() == 'O') {
      part = without_nulls(part);
    } else if (is_masked(item)) {
      part = without_masked(item);
    } else {
      for (py::ssize_t i = 0; i < part.size(); ++i) places_.push_back(valid_++);
    }
    if (part.size() > 0) keep(part, row);
    check_count();
    end_row(true);
  }

  Array finish() {
    offsets_.append(static_cast<int32_t>(places_.size()));
    Array lists = make_lists(offsets_.finish().values, validity_.length(), elements());
    lists.null_count = validity_.length() - validity_.ones();
    if (lists.null_count > 0) lists.validity = validity_.finish();
    return lists;
  }

 private:
  void end_row(bool is_valid) {
    offsets_.append(row_begin_);
    row_begin_ = static_cast<int32_t>(places_.size());
    validity_.append(is_valid);
  }

  py::array as_array(const py::object& item, int64_t row) const {
    if (is_masked(item) && (holds_objects_ || py::array(item).dtype().kind() == 'O')) {
      return numpy_.attr("where")(mask_of(item), py::none(), item.attr("data").attr("astype")("O"));
    }
    try {
      return numpy_.attr("asarray")(item, holds_objects_ ? py::object(py::dtype("O")) : py::none());
    } catch (const py::error_already_set& error) {
      if (!error.matches(PyExc_ValueError)) throw;
      throw_no_list(column_, target_, row, type_name(item) + " of lists of different lengths");
    }
  }

  void check_count() const {
    constexpr size_t kMaxElements = std::numeric_limits<int32_t>::max();
    if (places_.size() <= kMaxElements) return;
    throw Error(ErrorCode::kRecordTooLarge,
                "column '" + column_ + "' has more than " + std::to_string(kMaxElements) +
                    " list elements in one batch. Send smaller batches.",
                {{"column", column_}, {"limit", static_cast<int64_t>(kMaxElements)}});
  }

  // Those that are not None, as what numpy makes of them.
  py::array without_nulls(const py::array& part) {
    py::list present;
    for (const py::handle value : part) {
      places_.push_back(value.is_none() ? kNull : valid_++);
      has_nulls_ |= value.is_none();
      if (!value.is_none()) present.append(value);
    }
    const auto kind = target_.element->id;
    const char* dtype = holds_objects_                   ? "O"
                        : kind == TypeId::kDuration      ? "timedelta64"
                        : target_.element->is_temporal() ? "datetime64"
                                                         : nullptr;
    if (dtype != nullptr) return numpy_.attr("array")(present, dtype);
    return numpy_.attr("array")(present);
  }

  bool is_masked(const py::object& item) const { return py::isinstance(item, masked_type_); }
  py::array_t<bool> mask_of(const py::object& item) const {
    return numpy_.attr("ma").attr("getmaskarray")(item);
  }

  // Those that a mask of numpy.ma lets through.
  py::array without_masked(const py::object& item) {
    const py::array_t<bool> mask = mask_of(item);
    for (py::ssize_t i = 0; i < mask.size(); ++i) {
      places_.push_back(mask.at(i) ? kNull : valid_++);
      has_nulls_ |= mask.at(i);
    }
    return item.attr("compressed")();
  }

  // numpy would make floats of these beside those of the other 64-bit type. What does not fit the
  // elements is left for the message.
  py::array as_elements(const py::array& part) const {
    const bool is_wide = part.dtype().kind() == 'u' && part.dtype().itemsize() == 8;
    if (target_.element->id == TypeId::kUInt64) {
      if (part.dtype().kind() != 'i' || part.attr("min")().cast<int64_t>() < 0) return part;
      return part.attr("astype")("uint64");
    }
    if (!is_wide || part.attr("max")().cast<uint64_t>() > INT64_MAX) return part;
    return part.attr("astype")("int64");
  }

  // numpy would turn numbers beside text into text, and bools beside numbers into numbers.
  void keep(const py::array& part, int64_t row) {
    const char kind = part.dtype().kind();
    const char group = std::string_view("iuf").find(kind) != std::string_view::npos ? 'i' : kind;
    if (part.ndim() != 1) throw_no_list(column_, target_, row, "lists in a list");
    if (group_ != 0 && group != group_) {
      throw_no_list(column_, target_, row,
                    "values of " + py::str(part.dtype()).cast<std::string>() +
                        " beside values of " +
                        py::str(parts_[0].attr("dtype")).cast<std::string>());
    }
    group_ = group;
    parts_.append(group == 'i' ? as_elements(part) : part);
  }

  Array elements() const {
    Array present = make_nulls(*target_.element, 0);
    if (!parts_.empty()) {
      const py::array all = numpy_.attr("concatenate")(parts_);
      present = from_numpy(all, py::none(), *target_.element, column_);
    }
    if (!has_nulls_) return present;
    const Array pool[] = {present, make_nulls(present.type, 1)};
    std::vector<int32_t> indices = places_;
    for (int32_t& index : indices) index = index == kNull ? valid_ : index;
    return take(concat(pool), indices);
  }

  static constexpr int32_t kNull = -1;

  const DataType& target_;
  const std::string& column_;
  py::module_ numpy_;
  py::object masked_type_;
  bool holds_objects_;
  py::list parts_;
  char group_ = 0;  // the kind of their dtypes; 'i' for all numbers
  bool has_nulls_ = false;
  int32_t valid_ = 0;            // elements that are not null
  std::vector<int32_t> places_;  // of each element among those, or kNull
  int32_t row_begin_ = 0;
  FixedBuilder<int32_t> offsets_{DataType::of(TypeId::kInt32)};
  BitmapBuilder validity_;
};

}  // namespace

py::array lists_to_numpy(const Array& lists, const py::object& null_value) {
  const py::array values = to_numpy(used_elements(lists), false, py::none());
  const int32_t* offsets = lists.offsets.as<int32_t>();
  py::array out(py::dtype("O"), std::vector<py::ssize_t>{lists.length});
  auto* to = static_cast<PyObject**>(out.mutable_data());
  for (int64_t i = 0; i < lists.length; ++i) {
    py::object item = null_value;
    if (lists.is_valid(i)) {
      item = values[py::slice(offsets[i] - offsets[0], offsets[i + 1] - offsets[0], 1)];
    }
    Py_XDECREF(to[i]);
    to[i] = item.release().ptr();
  }
  return out;
}

py::list lists_to_pylist(const Array& lists) {
  const py::list values = py::cast(used_elements(lists)).attr("to_pylist")();
  const int32_t* offsets = lists.offsets.as<int32_t>();
  py::list out(static_cast<size_t>(lists.length));
  for (int64_t i = 0; i < lists.length; ++i) {
    py::object item = py::none();
    if (lists.is_valid(i)) {
      item = values[py::slice(offsets[i] - offsets[0], offsets[i + 1] - offsets[0], 1)];
    }
    PyList_SET_ITEM(out.ptr(), i, item.release().ptr());
  }
  return out;
}

Array lists_from_numpy(const py::array& values, const uint8_t* mask, const DataType& target,
                       const std::string& column) {
  ListGatherer lists(target, column);
  int64_t row = 0;
  for (const py::handle item : values) {
    if (item.is_none() || (mask != nullptr && mask[row] != 0)) {
      lists.add_null();
    } else {
      lists.add(py::reinterpret_borrow<py::object>(item), row);
    }
    ++row;
  }
  return lists.finish();
}

}  // namespace pystream::python
