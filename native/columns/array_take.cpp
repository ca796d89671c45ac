#include <cassert>

#include "columns/array.hpp"
#include "columns/gather.hpp"

namespace pystream {

Array take(const Array& array, std::span<const int32_t> indices) {
  const int64_t count = static_cast<int64_t>(indices.size());
  Array out;
  out.type = array.type;
  out.length = count;
  out.dictionary = array.dictionary;
  if (array.null_count > 0) {
    out.validity = detail::gather_bits(array.validity.data, indices.data(), count);
    out.null_count = count - count_set_bits(out.validity.data, count);
    if (out.null_count == 0) out.validity = {};
  }
  if (array.is_encoded()) {
    MutableBuffer codes(count * 4);
    const int32_t* from = array.codes();
    int32_t* to = codes.as<int32_t>();
    for (int64_t i = 0; i < count; ++i) to[i] = from[indices[static_cast<size_t>(i)]];
    out.values = codes.freeze();
  } else if (array.type.is_list()) {
    detail::gather_lists(array, indices.data(), count,
                         out.null_count > 0 ? out.validity.data : nullptr, &out);
  } else if (array.type.is_var_binary()) {
    detail::gather_strings(array, indices.data(), count,
                           out.null_count > 0 ? out.validity.data : nullptr, &out.offsets,
                           &out.values);
  } else {
    out.values = detail::gather_values(array, indices.data(), count);
  }
  return out;
}

Array decode_dictionary(const Array& array) {
  if (!array.is_encoded()) return array;
  const Array& dictionary = *array.dictionary;
  // The code below a null need not point anywhere when no value exists at all.
  if (dictionary.length == 0) return make_nulls(array.type, array.length);
  Array out;
  out.type = array.type;
  out.length = array.length;
  out.null_count = array.null_count;
  out.validity = array.validity;
  if (array.type.is_var_binary()) {
    detail::gather_strings(dictionary, array.codes(), array.length,
                           array.null_count > 0 ? array.validity.data : nullptr, &out.offsets,
                           &out.values);
  } else {
    out.values = detail::gather_values(dictionary, array.codes(), array.length);
  }
  return out;
}

}  // namespace pystream
