#include "numpy_import.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "held_object.hpp"
#include "numpy_lists.hpp"
#include "python_objects.hpp"

namespace pystream::python {

namespace {

constexpr int64_t kNotATime = std::numeric_limits<int64_t>::min();

[[noreturn]] void throw_dtype(const std::string& column, const DataType& target,
                              const std::string& got) {
  throw Error(ErrorCode::kSchema,
              "column '" + column + "' expects " + target.to_string() + ", got a numpy array of " +
                  got + ". Convert it with astype() first.",
              {{"column", column}, {"expected", target.to_string()}, {"got", got}});
}

// Bit i is set where bytes[i] is not zero; `bytes` are numpy bools (0 or 1).
Buffer pack_bits(const uint8_t* bytes, int64_t length, bool inverted) {
  MutableBuffer bits(bitmap_bytes(length));
  const uint64_t flip = inverted ? 0x0101010101010101u : 0;
  for (int64_t i = 0; i < length; i += 8) {
    uint64_t word = 0;
    const int64_t count = length - i < 8 ? length - i : 8;
    std::memcpy(&word, bytes + i, static_cast<size_t>(count));
    // Gathers the low bit of byte k at bit 56 + k.
    const uint64_t packed = ((word ^ flip) * 0x0102040810204080u) >> 56;
    bits.data()[i >> 3] = static_cast<uint8_t>(packed & (0xFFu >> (8 - count)));
  }
  return bits.freeze();
}

void set_validity(Buffer validity, Array* array) {
  array->null_count = array->length - count_set_bits(validity.data, array->length);
  if (array->null_count > 0) array->validity = std::move(validity);
}

// In native byte order, aligned and without gaps; `values` itself when it is.
py::array require_plain(const py::array& values) {
  using Api = py::detail::npy_api;
  constexpr int kPlain = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_;
  const bool is_swapped = values.dtype().byteorder() == '>';
  if (!is_swapped && (values.flags() & kPlain) == kPlain) return values;
  py::array native = values;
  if (is_swapped) native = values.attr("astype")(values.dtype().attr("newbyteorder")("="));
  return py::module_::import("numpy").attr("require")(
      native, py::arg("requirements") = py::make_tuple("C", "A"));
}

Array shared_values(const py::array& plain, DataType type) {
  Array out;
  out.type = std::move(type);
  out.length = plain.size();
  if (out.length > 0) {
    out.values = {static_cast<const uint8_t*>(plain.data()), plain.nbytes(), hold(plain)};
  }
  return out;
}

// Of the dtype, whose `name` numpy puts together in Python.
std::optional<TypeId> number_type(const py::dtype& dtype) {
  constexpr TypeId kSigned[] = {TypeId::kInt8, TypeId::kInt16, TypeId::kInt32, TypeId::kInt64};
  constexpr TypeId kUnsigned[] = {TypeId::kUInt8, TypeId::kUInt16, TypeId::kUInt32,
                                  TypeId::kUInt64};
  const auto bytes = static_cast<size_t>(dtype.itemsize());
  const auto rank = static_cast<size_t>(std::countr_zero(bytes));
  if (!std::has_single_bit(bytes) || bytes > 8) return std::nullopt;
  if (dtype.kind() == 'i') return kSigned[rank];
  if (dtype.kind() == 'u') return kUnsigned[rank];
  if (bytes == 4) return TypeId::kFloat32;
  return bytes == 8 ? std::optional(TypeId::kFloat64) : std::nullopt;
}

Array from_numbers(const py::array& values, const DataType& target, const std::string& column) {
  const std::optional<TypeId> type = number_type(values.dtype());
  if (!type) {
    throw_dtype(column, target, py::str(values.dtype().attr("name")).cast<std::string>());
  }
  return shared_values(require_plain(values), DataType::of(*type));
}

Array from_bools(const py::array& values) {
  const py::array plain = require_plain(values);
  Array out;
  out.type = DataType::of(TypeId::kBool);
  out.length = plain.size();
  out.values = pack_bits(static_cast<const uint8_t*>(plain.data()), out.length, false);
  return out;
}

// NaT becomes null.
void mask_not_a_time(Array* array) {
  MutableBuffer bits(bitmap_bytes(array->length));
  if (array->length > 0) std::memset(bits.data(), 0, static_cast<size_t>(bits.size()));
  for (int64_t i = 0; i < array->length; ++i) {
    if (array->data<int64_t>()[i] != kNotATime) set_bit(bits.data(), i);
  }
  set_validity(bits.freeze(), array);
}

Array to_date32(const Array& days, const std::string& column) {
  MutableBuffer values(days.length * 4);
  for (int64_t i = 0; i < days.length; ++i) {
    const int64_t day = days.data<int64_t>()[i];
    if (days.is_valid(i) && !std::in_range<int32_t>(day)) {
      throw Error(ErrorCode::kSchema,
                  "column '" + column + "' expects date32, got day " + std::to_string(day) +
                      " in row " + std::to_string(i) + ", which 32 bits cannot hold.",
                  {{"column", column}, {"expected", std::string("date32")}, {"row", i}});
    }
    values.as<int32_t>()[i] = static_cast<int32_t>(days.is_valid(i) ? day : 0);
  }
  Array out = days;
  out.type = DataType::of(TypeId::kDate32);
  out.values = values.freeze();
  return out;
}

// numpy's units of days and more become days for date32 and seconds otherwise; minutes and hours
// become seconds. Units below ns are refused, and durations in years and months, of which no two
// are equally long.
Array from_times(const py::array& values, const DataType& target, const std::string& column) {
  const bool is_duration = values.dtype().kind() == 'm';
  const py::tuple data = py::module_::import("numpy").attr("datetime_data")(values.dtype());
  std::string unit = data[0].cast<std::string>();
  if (is_duration && (unit == "Y" || unit == "M")) {
    throw_dtype(column, target, py::str(values.dtype()).cast<std::string>());
  }
  const std::string coarse = " Y M W D h m ";
  const bool is_date = !is_duration && target.id == TypeId::kDate32 && unit == "D";
  if (coarse.find(" " + unit + " ") != std::string::npos && !is_date) unit = "s";
  const std::string stored = (is_duration ? "timedelta64[" : "datetime64[") + unit + "]";
  const std::string known = " D s ms us ns ";
  if (known.find(" " + unit + " ") == std::string::npos) throw_dtype(column, target, stored);
  DataType type = DataType::of(is_duration ? TypeId::kDuration : TypeId::kTimestamp);
  if (!is_date) type.unit = DataType::parse("duration[" + unit + "]").unit;
  Array out = shared_values(require_plain(values.attr("astype")(stored, py::arg("copy") = false)),
                            std::move(type));
  mask_not_a_time(&out);
  return is_date ? to_date32(out, column) : out;
}

// One byte per row, or null. `held` keeps the mask alive.
const uint8_t* mask_bytes(const py::object& mask, const py::array& values,
                          const std::string& column, py::array* held) {
  if (mask.is_none()) return nullptr;
  const py::array given = py::array::ensure(mask);
  if (!given || given.dtype().kind() != 'b' || given.ndim() != 1 ||
      given.size() != values.shape(0)) {
    throw Error(ErrorCode::kSchema,
                "the mask of column '" + column + "' is not a bool array with " +
                    std::to_string(values.shape(0)) + " values. It must be True where null.",
                {{"column", column}});
  }
  *held = require_plain(given);
  return static_cast<const uint8_t*>(held->data());
}

Array from_items(const py::array& values, const uint8_t* mask, const DataType& target,
                 const std::string& column) {
  const bool holds_objects = target.is_var_binary() || target.id == TypeId::kDecimal128;
  if (!holds_objects) {
    throw_dtype(column, target, py::str(values.dtype()).cast<std::string>());
  }
  const py::array objects = require_plain(values.attr("astype")("object", py::arg("copy") = false));
  return from_objects(objects, mask, target, column);
}

}  // namespace

Array from_numpy(const py::array& values, const py::object& mask, const DataType& target,
                 const std::string& column) {
  if (target.is_list() &&
      (values.ndim() == 2 || (values.ndim() == 1 && values.dtype().kind() == 'O'))) {
    py::array held;
    return lists_from_numpy(values, mask_bytes(mask, values, column, &held), target, column);
  }
  if (values.ndim() != 1) {
    throw Error(ErrorCode::kSchema,
                "column '" + column + "' is an array of " + std::to_string(values.ndim()) +
                    " dimensions. A column has one.",
                {{"column", column}});
  }
  py::array held;
  const uint8_t* masked = mask_bytes(mask, values, column, &held);
  Array out;
  switch (values.dtype().kind()) {
    case 'b':
      out = from_bools(values);
      break;
    case 'i':
    case 'u':
    case 'f':
      out = from_numbers(values, target, column);
      break;
    case 'M':
    case 'm':
      out = from_times(values, target, column);
      break;
    case 'O':
    case 'U':
    case 'S':
    case 'T':
      return from_items(values, masked, target, column);
    default:
      throw_dtype(column, target, py::str(values.dtype()).cast<std::string>());
  }
  if (masked == nullptr) return out;
  Buffer validity = pack_bits(masked, out.length, true);
  if (out.null_count > 0) {
    MutableBuffer both(validity.size);
    for (int64_t i = 0; i < both.size(); ++i) {
      both.data()[i] = static_cast<uint8_t>(validity.data[i] & out.validity.data[i]);
    }
    validity = both.freeze();
  }
  if (out.length > 0) set_validity(std::move(validity), &out);
  return out;
}

}  // namespace pystream::python
