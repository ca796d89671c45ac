#include "expressions/detail/constant.hpp"

#include <algorithm>

#include "expressions/detail/bitmap_words.hpp"

namespace pystream::expressions::detail {
namespace {

template <typename T>
void store(T value, void* out) {
  std::memcpy(out, &value, sizeof(T));
}

Array repeat_text(const std::string& text, const DataType& type, int64_t rows) {
  MutableBuffer bytes;
  bytes.append(text.data(), static_cast<int64_t>(text.size()));
  MutableBuffer offsets(2 * static_cast<int64_t>(sizeof(int32_t)));
  offsets.as<int32_t>()[0] = 0;
  offsets.as<int32_t>()[1] = static_cast<int32_t>(text.size());
  Array entry;
  entry.type = type;
  entry.type.is_dictionary = false;
  entry.length = 1;
  entry.values = bytes.freeze();
  entry.offsets = offsets.freeze();
  MutableBuffer codes(rows * static_cast<int64_t>(sizeof(int32_t)));
  if (rows > 0) std::memset(codes.data(), 0, static_cast<size_t>(codes.size()));
  Array array = fixed_array(type, rows, codes.freeze(), {});
  array.dictionary = std::make_shared<Array>(std::move(entry));
  return array;
}

}  // namespace

Constant integer_constant(const DataType& type, __int128 value) {
  if (type.id == TypeId::kDecimal128) return {value};
  if (type.is_integer() && !type.is_signed_integer()) return {static_cast<uint64_t>(value)};
  return {static_cast<int64_t>(value)};
}

void store_constant(const Constant& constant, const DataType& type, void* out) {
  if (type.id == TypeId::kFloat32) return store(constant.number<float>(), out);
  if (type.id == TypeId::kFloat64) return store(constant.number<double>(), out);
  switch (type.byte_width()) {
    case 1:
      return store(constant.number<uint8_t>(), out);
    case 2:
      return store(constant.number<uint16_t>(), out);
    case 4:
      return store(constant.number<uint32_t>(), out);
    case 8:
      return store(constant.number<uint64_t>(), out);
    default:
      return store(constant.number<__int128>(), out);
  }
}

Array repeat_constant(const Constant& constant, const DataType& type, int64_t rows) {
  if (constant.is_null()) return make_nulls(type, rows);
  if (type.is_bool()) return bool_array_of(constant.truth(), rows, {});
  if (type.is_var_binary()) return repeat_text(constant.text(), type, rows);
  const int width = type.byte_width();
  uint8_t value[16];
  store_constant(constant, type, value);
  MutableBuffer out(rows * width);
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(out.data() + i * width, value, static_cast<size_t>(width));
  }
  return fixed_array(type, rows, out.freeze(), {});
}

Constant constant_from(const Array& array, int64_t row) {
  if (!array.is_valid(row)) return {};
  if (array.is_encoded()) return constant_from(*array.dictionary, array.codes()[row]);
  switch (array.type.id) {
    case TypeId::kBool:
      return {get_bit(array.values.data, row)};
    case TypeId::kInt8:
      return {int64_t{array.data<int8_t>()[row]}};
    case TypeId::kInt16:
      return {int64_t{array.data<int16_t>()[row]}};
    case TypeId::kInt32:
    case TypeId::kDate32:
      return {int64_t{array.data<int32_t>()[row]}};
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kDuration:
      return {array.data<int64_t>()[row]};
    case TypeId::kUInt8:
      return {uint64_t{array.data<uint8_t>()[row]}};
    case TypeId::kUInt16:
      return {uint64_t{array.data<uint16_t>()[row]}};
    case TypeId::kUInt32:
      return {uint64_t{array.data<uint32_t>()[row]}};
    case TypeId::kUInt64:
      return {array.data<uint64_t>()[row]};
    case TypeId::kFloat32:
      return {double{array.data<float>()[row]}};
    case TypeId::kFloat64:
      return {array.data<double>()[row]};
    case TypeId::kDecimal128: {
      __int128 value;
      std::memcpy(&value, array.values.data + row * 16, 16);
      return {value};
    }
    case TypeId::kString:
    case TypeId::kBinary:
      return {std::string(array.view(row))};
    case TypeId::kList:
      break;  // there is no constant list
  }
  return {};
}

}  // namespace pystream::expressions::detail
