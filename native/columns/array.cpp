#include "columns/array.hpp"

#include <cassert>

#include "base/error.hpp"

namespace pystream {

namespace {

// Bits [begin, begin + length): a view where begin lies on a byte, else a copy.
Buffer slice_bits(const Buffer& bits, int64_t begin, int64_t length) {
  if ((begin & 7) == 0) return bits.slice(begin >> 3, bitmap_bytes(length));
  MutableBuffer copy(bitmap_bytes(length));
  copy_bits(bits.data, begin, length, copy.data());
  return copy.freeze();
}

Buffer zeros(int64_t size) {
  MutableBuffer buffer(size);
  if (size > 0) std::memset(buffer.data(), 0, static_cast<size_t>(size));
  return buffer.freeze();
}

}  // namespace

Array slice(const Array& array, int64_t begin, int64_t length) {
  assert(begin >= 0 && length >= 0 && begin + length <= array.length);
  if (begin == 0 && length == array.length) return array;
  Array out = array;
  out.length = length;
  if (array.null_count > 0) {
    out.validity = slice_bits(array.validity, begin, length);
    out.null_count = length - count_set_bits(out.validity.data, length);
    if (out.null_count == 0) out.validity = {};
  }
  if (array.is_encoded()) {
    out.values = array.values.slice(begin * 4, length * 4);
  } else if (array.type.is_var_binary() || array.type.is_list()) {
    out.offsets = array.offsets.slice(begin * 4, (length + 1) * 4);
  } else if (array.type.is_bool()) {
    out.values = slice_bits(array.values, begin, length);
  } else {
    const int64_t width = array.type.byte_width();
    out.values = array.values.slice(begin * width, length * width);
  }
  return out;
}

Array make_nulls(const DataType& type, int64_t length) {
  Array array;
  array.type = type;
  array.length = length;
  array.null_count = length;
  if (length > 0) array.validity = zeros(bitmap_bytes(length));
  if (type.is_var_binary() || type.is_list()) {
    array.offsets = zeros((length + 1) * 4);
    if (type.is_list())
      array.elements = std::make_shared<const Array>(make_nulls(*type.element, 0));
  } else if (type.is_bool()) {
    array.values = zeros(bitmap_bytes(length));
  } else {
    array.values = zeros(length * type.byte_width());
  }
  return array;
}

Array make_lists(Buffer offsets, int64_t length, Array elements) {
  Array array;
  array.type = DataType::list_of(elements.type);
  array.length = length;
  array.offsets = std::move(offsets);
  array.elements = std::make_shared<const Array>(std::move(elements));
  return array;
}

Array make_constant_int64(const DataType& type, int64_t value, int64_t length) {
  assert(type.byte_width() == 8);
  MutableBuffer values(length * 8);
  int64_t* out = values.as<int64_t>();
  for (int64_t i = 0; i < length; ++i) out[i] = value;
  Array array;
  array.type = type;
  array.length = length;
  array.values = values.freeze();
  return array;
}

int64_t referenced_bytes(const Array& array) {
  int64_t bytes = array.null_count > 0 ? bitmap_bytes(array.length) : 0;
  if (array.is_encoded()) return bytes + array.length * 4 + referenced_bytes(*array.dictionary);
  if (array.type.is_bool()) return bytes + bitmap_bytes(array.length);
  if (!array.type.is_var_binary() && !array.type.is_list()) {
    return bytes + array.length * array.type.byte_width();
  }
  const int32_t* offsets = array.offsets.as<int32_t>();
  if (array.type.is_list()) {
    const int64_t count = offsets[array.length] - offsets[0];
    return bytes + (array.length + 1) * 4 +
           referenced_bytes(slice(*array.elements, offsets[0], count));
  }
  return bytes + (array.length + 1) * 4 + (offsets[array.length] - offsets[0]);
}

}  // namespace pystream
