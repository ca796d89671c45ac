#include "storage/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <concepts>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/crc32c.hpp"

namespace pystream::storage {

namespace {

// Small enough to stay in the first-level cache between the two passes over it; in rows a multiple
// of 64, so that blocks begin at whole words of the validity bitmap.
constexpr int64_t kBlockBytes = 16 * 1024;

template <typename T>
constexpr T highest() {
  if constexpr (std::floating_point<T>) return std::numeric_limits<T>::infinity();
  return std::numeric_limits<T>::max();
}

template <typename T>
constexpr T lowest() {
  if constexpr (std::floating_point<T>) return -std::numeric_limits<T>::infinity();
  return std::numeric_limits<T>::lowest();
}

// Starts inverted; minimum > maximum means that nothing was seen. Comparisons with NaN are false,
// so NaN never enters.
template <typename T>
struct Range {
  T minimum = highest<T>();
  T maximum = lowest<T>();

  void add(T value) {
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
};

// Written over explicit vectors because compilers do not vectorize minima of floats by themselves:
// they may not reorder NaN and signed zeros; we may. Several vectors run side by side, as one
// comparison must wait for the one before it.
template <typename T>
[[gnu::always_inline]] inline void add_all(const T* values, int64_t count, Range<T>* range) {
  constexpr int64_t kLanes = 32 / sizeof(T);
  constexpr int64_t kVectors = 4;
  typedef T Vector __attribute__((vector_size(32)));
  int64_t i = 0;
  if (count >= kVectors * kLanes) {
    Vector minima[kVectors];
    Vector maxima[kVectors];
    for (int64_t k = 0; k < kVectors; ++k) {
      minima[k] = Vector{} + range->minimum;
      maxima[k] = Vector{} + range->maximum;
    }
    for (; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
      for (int64_t k = 0; k < kVectors; ++k) {
        Vector value;
        std::memcpy(&value, values + i + k * kLanes, sizeof(value));
        minima[k] = value < minima[k] ? value : minima[k];
        maxima[k] = value > maxima[k] ? value : maxima[k];
      }
    }
    for (int64_t k = 0; k < kVectors; ++k) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        if (minima[k][lane] < range->minimum) range->minimum = minima[k][lane];
        if (maxima[k][lane] > range->maximum) range->maximum = maxima[k][lane];
      }
    }
  }
  for (; i < count; ++i) range->add(values[i]);
}

template <typename T>
void add_all_baseline(const T* values, int64_t count, Range<T>* range) {
  add_all(values, count, range);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void add_all_avx2(const T* values, int64_t count, Range<T>* range) {
  add_all(values, count, range);
}
#endif

template <typename T>
using AddAll = void (*)(const T*, int64_t, Range<T>*);

template <typename T>
AddAll<T> choose_add_all() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return add_all_avx2<T>;
#endif
  return add_all_baseline<T>;
}

// Rows [begin, begin + count) of which some may be null; begin is a multiple of 64.
template <typename T>
void add_valid(AddAll<T> add_all_chosen, const T* values, const uint8_t* validity, int64_t begin,
               int64_t count, Range<T>* range) {
  for (int64_t i = begin; i < begin + count; i += 64) {
    const int64_t rows = std::min<int64_t>(64, begin + count - i);
    uint64_t word = 0;
    std::memcpy(&word, validity + i / 8, static_cast<size_t>(bitmap_bytes(rows)));
    if (rows < 64) word &= (uint64_t{1} << rows) - 1;
    if (word == ~uint64_t{0}) {
      add_all_chosen(values + i, 64, range);
      continue;
    }
    for (; word != 0; word &= word - 1) range->add(values[i + std::countr_zero(word)]);
  }
}

template <typename T>
uint64_t to_bits(T value) {
  if constexpr (std::floating_point<T>) {
    return std::bit_cast<uint64_t>(static_cast<double>(value));
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  } else {
    return value;
  }
}

template <typename T>
MinMax finish(Range<T> range) {
  if (range.minimum > range.maximum) return {};
  if constexpr (std::floating_point<T>) {
    if (range.minimum == 0) range.minimum = -T{0};
    if (range.maximum == 0) range.maximum = T{0};
  }
  return {true, to_bits(range.minimum), to_bits(range.maximum)};
}

template <typename T>
MinMax scan(const Array& array, uint32_t* crc) {
  static const AddAll<T> add_all_chosen = choose_add_all<T>();
  constexpr int64_t kBlockRows = kBlockBytes / static_cast<int64_t>(sizeof(T));
  const T* values = array.data<T>();
  Range<T> range;
  for (int64_t begin = 0; begin < array.length; begin += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, array.length - begin);
    if (array.null_count == 0) {
      add_all_chosen(values + begin, rows, &range);
    } else {
      add_valid(add_all_chosen, values, array.validity.data, begin, rows, &range);
    }
    if (crc != nullptr) {
      *crc = crc32c(*crc, values + begin, static_cast<size_t>(rows) * sizeof(T));
    }
  }
  return finish(range);
}

MinMax scan_any(const Array& array, uint32_t* crc) {
  assert(!array.is_encoded());
  switch (array.type.id) {
    case TypeId::kInt8:
      return scan<int8_t>(array, crc);
    case TypeId::kInt16:
      return scan<int16_t>(array, crc);
    case TypeId::kInt32:
    case TypeId::kDate32:
      return scan<int32_t>(array, crc);
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kDuration:
      return scan<int64_t>(array, crc);
    case TypeId::kUInt8:
      return scan<uint8_t>(array, crc);
    case TypeId::kUInt16:
      return scan<uint16_t>(array, crc);
    case TypeId::kUInt32:
      return scan<uint32_t>(array, crc);
    case TypeId::kUInt64:
      return scan<uint64_t>(array, crc);
    case TypeId::kFloat32:
      return scan<float>(array, crc);
    case TypeId::kFloat64:
      return scan<double>(array, crc);
    default:
      assert(false && "this type has no statistics");
      return {};
  }
}

}  // namespace

bool has_statistics(TypeId id) {
  return id != TypeId::kBool && id != TypeId::kDecimal128 && id != TypeId::kString &&
         id != TypeId::kBinary;
}

MinMax min_max(const Array& array) { return scan_any(array, nullptr); }

MinMax min_max_and_crc(const Array& array, uint32_t* crc) {
  *crc = 0;
  return scan_any(array, crc);
}

}  // namespace pystream::storage
