#pragma once
// Loops that pick values by index, shared by take and dictionary decoding. Internal to columns/.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/array.hpp"

namespace pystream::detail {

template <typename T>
void gather_fixed(const Array& source, const int32_t* indices, int64_t count, uint8_t* target) {
  const T* from = source.data<T>();
  T* to = reinterpret_cast<T*>(target);
  for (int64_t i = 0; i < count; ++i) to[i] = from[indices[i]];
}

inline Buffer gather_bits(const uint8_t* source, const int32_t* indices, int64_t count) {
  MutableBuffer bits(bitmap_bytes(count));
  for (int64_t i = 0; i < count; i += 8) {
    const int64_t end = i + 8 < count ? i + 8 : count;
    unsigned byte = 0;
    for (int64_t j = i; j < end; ++j) {
      byte |= static_cast<unsigned>(get_bit(source, indices[j])) << (j - i);
    }
    bits.data()[i >> 3] = static_cast<uint8_t>(byte);
  }
  return bits.freeze();
}

// The values of a plain fixed-width or bool array at `indices`.
inline Buffer gather_values(const Array& source, const int32_t* indices, int64_t count) {
  if (source.type.is_bool()) return gather_bits(source.values.data, indices, count);
  const int width = source.type.byte_width();
  MutableBuffer values(count * width);
  switch (width) {
    case 1:
      gather_fixed<uint8_t>(source, indices, count, values.data());
      break;
    case 2:
      gather_fixed<uint16_t>(source, indices, count, values.data());
      break;
    case 4:
      gather_fixed<uint32_t>(source, indices, count, values.data());
      break;
    case 8:
      gather_fixed<uint64_t>(source, indices, count, values.data());
      break;
    default: {
      struct Wide {
        uint64_t low, high;
      };
      gather_fixed<Wide>(source, indices, count, values.data());
    }
  }
  return values.freeze();
}

// Where the values of rows at `indices` begin once gathered, and where the last one ends; rows that
// `validity` (may be null) marks as null are empty. Calls throw_too_long(row, total) when the total
// passes 2^31 - 1.
template <typename ThrowTooLong>
MutableBuffer gather_offsets(const Array& source, const int32_t* indices, int64_t count,
                             const uint8_t* validity, ThrowTooLong&& throw_too_long) {
  const int32_t* from = source.offsets.as<int32_t>();
  MutableBuffer offsets((count + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<int32_t>(total);
    if (validity == nullptr || get_bit(validity, i)) {
      total += from[indices[i] + 1] - from[indices[i]];
    }
    if (total > std::numeric_limits<int32_t>::max()) throw_too_long(i, total);
  }
  to[count] = static_cast<int32_t>(total);
  return offsets;
}

// The strings of a plain var-binary array at `indices`; rows that `validity` (may be null) marks
// as null become empty. Throws kRecordTooLarge past 2 GiB.
inline void gather_strings(const Array& source, const int32_t* indices, int64_t count,
                           const uint8_t* validity, Buffer* offsets_out, Buffer* values_out) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const int32_t* from = source.offsets.as<int32_t>();
  MutableBuffer offsets =
      gather_offsets(source, indices, count, validity, [&](int64_t row, int64_t) {
        throw Error(ErrorCode::kRecordTooLarge,
                    "a " + source.type.to_string() + " column of one batch would pass " +
                        std::to_string(kMaxBytes) + " bytes at row " + std::to_string(row) +
                        ". Use smaller batches.",
                    {{"row", row}, {"limit", kMaxBytes}});
      });
  const int32_t* to = offsets.as<int32_t>();
  MutableBuffer values(to[count]);
  uint8_t* target = values.data();
  const uint8_t* bytes = source.values.data;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t length = to[i + 1] - to[i];
    if (length > 0) {
      std::memcpy(target + to[i], bytes + from[indices[i]], static_cast<size_t>(length));
    }
  }
  *offsets_out = offsets.freeze();
  *values_out = values.freeze();
}

[[noreturn]] inline void throw_too_many_elements(const DataType& type, int64_t count) {
  constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();
  throw Error(ErrorCode::kRecordTooLarge,
              "a " + type.to_string() + " column of one batch would have " + std::to_string(count) +
                  " elements; the limit is " + std::to_string(kMaxElements) +
                  ". Use smaller batches.",
              {{"size", count}, {"limit", kMaxElements}});
}

// The lists of a list array at `indices`; rows that `validity` (may be null) marks as null become
// empty. Throws kRecordTooLarge past 2^31 - 1 elements.
inline void gather_lists(const Array& source, const int32_t* indices, int64_t count,
                         const uint8_t* validity, Array* out) {
  const int32_t* from = source.offsets.as<int32_t>();
  MutableBuffer offsets =
      gather_offsets(source, indices, count, validity,
                     [&](int64_t, int64_t total) { throw_too_many_elements(source.type, total); });
  const int32_t* to = offsets.as<int32_t>();
  std::vector<int32_t> wanted(static_cast<size_t>(to[count]));
  for (int64_t i = 0; i < count; ++i) {
    const int32_t shift = to[i] < to[i + 1] ? from[indices[i]] - to[i] : 0;
    for (int32_t at = to[i]; at < to[i + 1]; ++at) wanted[static_cast<size_t>(at)] = at + shift;
  }
  out->offsets = offsets.freeze();
  out->elements = std::make_shared<const Array>(take(*source.elements, wanted));
}

}  // namespace pystream::detail
