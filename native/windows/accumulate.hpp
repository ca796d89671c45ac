#pragma once
// The kernels: values into accumulator rows, and rows into rows. Which fields are updated is
// decided once per call; the loops are plain.

#include <cstdint>

#include "windows/accumulator_layout.hpp"

namespace pystream::windows {

// Rows of accumulators: row `slot` is at data + slot * stride.
struct RowBlock {
  uint8_t* data = nullptr;
  int64_t stride = 0;
  bool is_large = false;  // does not stay in the cache: look ahead

  uint8_t* at(int64_t slot) const { return data + slot * stride; }
};

// Adds values[i] to row slots[i]; the values are neither null nor, where min or max is wanted, NaN.
// With `count_rows` also adds one to the number of rows. V is int64_t, uint64_t, double or
// __int128.
template <typename V>
void accumulate(const InputLayout& input, bool count_rows, const RowBlock& rows,
                const uint32_t* slots, const V* values, int64_t count);

// The same for one row and all values: without key columns. Sums from left to right, so that the
// result does not depend on how the input was cut.
template <typename V>
void accumulate_one(const InputLayout& input, uint8_t* row, const V* values, int64_t count);

// Adds one to the number of rows of each slot.
void count_rows(const RowBlock& rows, const uint32_t* slots, int64_t count);

// Merges rows: target row target_slots[i] takes source row source_slots[i]; for each target the
// source comes after what is there.
void merge_rows(const AccumulatorLayout& layout, const RowBlock& target,
                const uint32_t* target_slots, const RowBlock& source, const uint32_t* source_slots,
                int64_t count);

}  // namespace pystream::windows
