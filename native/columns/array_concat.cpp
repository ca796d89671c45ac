#include <cassert>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/array.hpp"
#include "columns/gather.hpp"

namespace pystream {

namespace {

using detail::throw_too_many_elements;

Buffer concat_validity(std::span<const Array> arrays, int64_t length) {
  MutableBuffer bits(bitmap_bytes(length));
  std::memset(bits.data(), 0, static_cast<size_t>(bits.size()));
  int64_t at = 0;
  for (const Array& array : arrays) {
    if (array.null_count == 0) {
      fill_bits(bits.data(), at, array.length);
    } else {
      or_bits(array.validity.data, 0, array.length, bits.data(), at);
    }
    at += array.length;
  }
  return bits.freeze();
}

Buffer concat_bools(std::span<const Array> arrays, int64_t length) {
  MutableBuffer bits(bitmap_bytes(length));
  if (length > 0) std::memset(bits.data(), 0, static_cast<size_t>(bits.size()));
  int64_t at = 0;
  for (const Array& array : arrays) {
    or_bits(array.values.data, 0, array.length, bits.data(), at);
    at += array.length;
  }
  return bits.freeze();
}

Buffer concat_fixed(std::span<const Array> arrays, int64_t length, int64_t width) {
  MutableBuffer values;
  values.reserve(length * width);
  for (const Array& array : arrays) values.append(array.values.data, array.length * width);
  return values.freeze();
}

void concat_strings(std::span<const Array> arrays, int64_t length, Array* out) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  int64_t total = 0;
  for (const Array& array : arrays) {
    const int32_t* from = array.offsets.as<int32_t>();
    total += from[array.length] - from[0];
  }
  if (total > kMaxBytes) {
    throw Error(ErrorCode::kRecordTooLarge,
                "a " + out->type.to_string() + " column of one batch would have " +
                    std::to_string(total) + " bytes; the limit is " + std::to_string(kMaxBytes) +
                    ". Use smaller batches.",
                {{"size", total}, {"limit", kMaxBytes}});
  }
  MutableBuffer offsets((length + 1) * 4);
  MutableBuffer values;
  values.reserve(total);
  int32_t* to = offsets.as<int32_t>();
  for (const Array& array : arrays) {
    const int32_t* from = array.offsets.as<int32_t>();
    const int32_t shift = static_cast<int32_t>(values.size()) - from[0];
    for (int64_t i = 0; i < array.length; ++i) to[i] = from[i] + shift;
    to += array.length;
    values.append(array.values.data + from[0], from[array.length] - from[0]);
  }
  *to = static_cast<int32_t>(total);
  out->offsets = offsets.freeze();
  out->values = values.freeze();
}

void concat_lists(std::span<const Array> arrays, int64_t length, Array* out) {
  constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();
  MutableBuffer offsets((length + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  std::vector<Array> parts;
  int64_t total = 0;
  for (const Array& array : arrays) {
    const int32_t* from = array.offsets.as<int32_t>();
    const int64_t count = from[array.length] - from[0];
    if (total + count > kMaxElements) throw_too_many_elements(out->type, total + count);
    for (int64_t i = 0; i < array.length; ++i)
      *to++ = static_cast<int32_t>(total + from[i] - from[0]);
    parts.push_back(slice(*array.elements, from[0], count));
    total += count;
  }
  *to = static_cast<int32_t>(total);
  out->offsets = offsets.freeze();
  out->elements = std::make_shared<const Array>(concat(std::span<const Array>(parts)));
}

// One dictionary by identity, not by content: comparing contents would cost more than it saves.
bool share_dictionary(std::span<const Array> arrays) {
  for (const Array& array : arrays) {
    if (!array.is_encoded() || array.dictionary != arrays[0].dictionary) return false;
  }
  return true;
}

}  // namespace

Array concat(std::span<const Array> arrays) {
  assert(!arrays.empty());
  if (arrays.size() == 1) return arrays[0];
  Array out;
  out.type = arrays[0].type;
  for (const Array& array : arrays) {
    assert(array.type == out.type);
    out.length += array.length;
    out.null_count += array.null_count;
  }
  if (out.null_count > 0) out.validity = concat_validity(arrays, out.length);
  if (share_dictionary(arrays)) {
    out.dictionary = arrays[0].dictionary;
    out.values = concat_fixed(arrays, out.length, 4);
    return out;
  }
  if (out.type.is_list()) {
    concat_lists(arrays, out.length, &out);
    return out;
  }
  std::vector<Array> decoded;
  for (const Array& array : arrays) decoded.push_back(decode_dictionary(array));
  if (out.type.is_var_binary()) {
    concat_strings(decoded, out.length, &out);
  } else if (out.type.is_bool()) {
    out.values = concat_bools(decoded, out.length);
  } else {
    out.values = concat_fixed(decoded, out.length, out.type.byte_width());
  }
  return out;
}

}  // namespace pystream
