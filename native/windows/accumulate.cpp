#include "windows/accumulate.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "windows/accumulator_values.hpp"

namespace pystream::windows {

namespace {

constexpr int64_t kPrefetchDistance = 24;

constexpr unsigned kCountRows = 1;
constexpr unsigned kSum = 2;
constexpr unsigned kMin = 4;
constexpr unsigned kMax = 8;

template <typename T>
void add_at(uint8_t* at, const T& value) {
  T sum = load<T>(at);
  add_to(&sum, value);
  store(at, sum);
}

template <typename T>
void min_at(uint8_t* at, T value) {
  const T held = load<T>(at);
  store(at, value < held ? value : held);
}

template <typename T>
void max_at(uint8_t* at, T value) {
  const T held = load<T>(at);
  store(at, held < value ? value : held);
}

template <typename V, unsigned kFields, bool kPrefetch>
void loop(const InputLayout& input, const RowBlock& rows, const uint32_t* slots, const V* values,
          int64_t count) {
  const int64_t sum = input.sum_at;
  const int64_t min = input.min_at;
  const int64_t max = input.max_at;
  const RowBlock block = rows;
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (kPrefetch) {
      const int64_t ahead = i + kPrefetchDistance < count ? i + kPrefetchDistance : i;
      __builtin_prefetch(block.at(slots[ahead]), 1);
    }
    uint8_t* row = block.at(slots[i]);
    const V value = values[i];
    if constexpr (kFields & kCountRows) add_at<int64_t>(row, 1);
    if constexpr (kFields & kSum) add_at(row + sum, sum_of<V>(value));
    if constexpr (kFields & kMin) min_at<V>(row + min, value);
    if constexpr (kFields & kMax) max_at<V>(row + max, value);
  }
}

template <typename V>
using Loop = void (*)(const InputLayout&, const RowBlock&, const uint32_t*, const V*, int64_t);

template <typename V, unsigned... kFields>
constexpr std::array<std::array<Loop<V>, 2>, sizeof...(kFields)> loops(
    std::integer_sequence<unsigned, kFields...>) {
  return {{{&loop<V, kFields, false>, &loop<V, kFields, true>}...}};
}

unsigned fields_of(const InputLayout& input) {
  return (input.sum_at >= 0 ? kSum : 0) | (input.min_at >= 0 ? kMin : 0) |
         (input.max_at >= 0 ? kMax : 0);
}

template <typename V>
void merge_input(const InputLayout& input, const RowBlock& target, const uint32_t* target_slots,
                 const RowBlock& source, const uint32_t* source_slots, int64_t count) {
  using Sum = typename Accumulate<V>::Sum;
  if (input.sum_at >= 0) {
    for (int64_t i = 0; i < count; ++i) {
      add_at(target.at(target_slots[i]) + input.sum_at,
             load<Sum>(source.at(source_slots[i]) + input.sum_at));
    }
  }
  if (input.min_at >= 0) {
    for (int64_t i = 0; i < count; ++i) {
      min_at(target.at(target_slots[i]) + input.min_at,
             load<V>(source.at(source_slots[i]) + input.min_at));
    }
  }
  if (input.max_at >= 0) {
    for (int64_t i = 0; i < count; ++i) {
      max_at(target.at(target_slots[i]) + input.max_at,
             load<V>(source.at(source_slots[i]) + input.max_at));
    }
  }
}

}  // namespace

template <typename V>
void accumulate(const InputLayout& input, bool count_rows, const RowBlock& rows,
                const uint32_t* slots, const V* values, int64_t count) {
  static constexpr auto kLoops = loops<V>(std::make_integer_sequence<unsigned, 16>());
  const unsigned fields = fields_of(input) | (count_rows ? kCountRows : 0);
  kLoops[fields][rows.is_large ? 1 : 0](input, rows, slots, values, count);
}

template <typename V>
void accumulate_one(const InputLayout& input, uint8_t* row, const V* values, int64_t count) {
  using Sum = typename Accumulate<V>::Sum;
  if (input.sum_at >= 0) {
    Sum sum = load<Sum>(row + input.sum_at);
    for (int64_t i = 0; i < count; ++i) add_to(&sum, sum_of<V>(values[i]));
    store(row + input.sum_at, sum);
  }
  if (input.min_at >= 0) {
    V min = load<V>(row + input.min_at);
    for (int64_t i = 0; i < count; ++i) min = values[i] < min ? values[i] : min;
    store(row + input.min_at, min);
  }
  if (input.max_at >= 0) {
    V max = load<V>(row + input.max_at);
    for (int64_t i = 0; i < count; ++i) max = max < values[i] ? values[i] : max;
    store(row + input.max_at, max);
  }
}

void count_rows(const RowBlock& rows, const uint32_t* slots, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (rows.is_large) {
      const int64_t ahead = std::min(i + kPrefetchDistance, count - 1);
      __builtin_prefetch(rows.at(slots[ahead]), 1);
    }
    add_at<int64_t>(rows.at(slots[i]), 1);
  }
}

void merge_rows(const AccumulatorLayout& layout, const RowBlock& target,
                const uint32_t* target_slots, const RowBlock& source, const uint32_t* source_slots,
                int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    add_at(target.at(target_slots[i]), load<int64_t>(source.at(source_slots[i])));
  }
  for (const InputLayout& input : layout.inputs) {
    switch (input.value_class) {
      case ValueClass::kInt64:
        merge_input<int64_t>(input, target, target_slots, source, source_slots, count);
        break;
      case ValueClass::kUInt64:
        merge_input<uint64_t>(input, target, target_slots, source, source_slots, count);
        break;
      case ValueClass::kFloat64:
        merge_input<double>(input, target, target_slots, source, source_slots, count);
        break;
      case ValueClass::kDecimal:
        merge_input<__int128>(input, target, target_slots, source, source_slots, count);
        break;
      case ValueClass::kNone:
      case ValueClass::kText:
        break;
    }
  }
}

#define PYSTREAM_INSTANTIATE(V)                                                           \
  template void accumulate<V>(const InputLayout&, bool, const RowBlock&, const uint32_t*, \
                              const V*, int64_t);                                         \
  template void accumulate_one<V>(const InputLayout&, uint8_t*, const V*, int64_t);
PYSTREAM_INSTANTIATE(int64_t)
PYSTREAM_INSTANTIATE(uint64_t)
PYSTREAM_INSTANTIATE(double)
PYSTREAM_INSTANTIATE(__int128)
#undef PYSTREAM_INSTANTIATE

}  // namespace pystream::windows
