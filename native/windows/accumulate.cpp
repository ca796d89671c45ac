#include "windows/accumulate.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "windows/accumulator_values.hpp"
#include "windows/moments.hpp"

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

// Folds values in four chains, so that steps need not wait for each other; for folds whose order
// does not matter. Of no values, `initial`.
template <typename V, typename Step>
V fold(const V* values, int64_t count, V initial, Step step) {
  V lanes[4] = {initial, initial, initial, initial};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int lane = 0; lane < 4; ++lane) lanes[lane] = step(values[i + lane], lanes[lane]);
  }
  for (; i < count; ++i) lanes[0] = step(values[i], lanes[0]);
  return step(step(lanes[0], lanes[1]), step(lanes[2], lanes[3]));
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
void add_moments(const InputLayout& input, const RowBlock& rows, const uint32_t* slots,
                 const V* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (rows.is_large) {
      const int64_t ahead = std::min(i + kPrefetchDistance, count - 1);
      __builtin_prefetch(rows.at(slots[ahead]) + input.moments_at, 1);
    }
    uint8_t* at = rows.at(slots[i]) + input.moments_at;
    auto moments = load<Moments>(at);
    moments.add(static_cast<double>(values[i]));
    store(at, moments);
  }
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
  if (input.moments_at >= 0) {
    for (int64_t i = 0; i < count; ++i) {
      uint8_t* at = target.at(target_slots[i]) + input.moments_at;
      auto moments = load<Moments>(at);
      moments.add(load<Moments>(source.at(source_slots[i]) + input.moments_at));
      store(at, moments);
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
  if (input.moments_at >= 0) add_moments(input, rows, slots, values, count);
}

template <typename V>
void accumulate_one(const InputLayout& input, uint8_t* row, const V* values, int64_t count) {
  if (input.sum_at >= 0) {
    auto sum = load<typename Accumulate<V>::Sum>(row + input.sum_at);
    for (int64_t i = 0; i < count; ++i) add_to(&sum, sum_of<V>(values[i]));
    store(row + input.sum_at, sum);
  }
  if (input.min_at >= 0) {
    min_at(row + input.min_at, fold(values, count, Accumulate<V>::kHighest,
                                    [](V value, V held) { return value < held ? value : held; }));
  }
  if (input.max_at >= 0) {
    max_at(row + input.max_at, fold(values, count, Accumulate<V>::kLowest,
                                    [](V value, V held) { return held < value ? value : held; }));
  }
  if (input.moments_at >= 0) {
    auto moments = load<Moments>(row + input.moments_at);
    for (int64_t i = 0; i < count; ++i) moments.add(static_cast<double>(values[i]));
    store(row + input.moments_at, moments);
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
    // The block's rows are in the cache from here on, for one input after the other.
    if (target.is_large) {
      __builtin_prefetch(target.at(target_slots[std::min(i + kPrefetchDistance, count - 1)]), 1);
    }
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
