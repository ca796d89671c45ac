#pragma once
// Key groups, as in Flink: every key belongs to one of `max_parallelism` groups, and an operator
// that runs as k instances gives each of them a contiguous range of groups. Which group a key is in
// never changes: not with the encoding of its column, not after a restart, not on another machine.
//
// The group of a key is its stable hash modulo max_parallelism. Which values are one key is decided
// as in ColumnDictionary, so null, NaN and -0.0 are in the group of their key.

#include <cstdint>
#include <span>
#include <vector>

#include "columns/array.hpp"

namespace pystream::state {

// Flink's default lower bound. A snapshot can be spread over so many instances at most.
inline constexpr int kDefaultMaxParallelism = 128;
// Flink's upper bound.
inline constexpr int kMostParallelism = 32768;

// Groups first to last, both included; none where last < first.
struct KeyGroupRange {
  int first = 0;
  int last = kDefaultMaxParallelism - 1;

  bool contains(int group) const { return first <= group && group <= last; }
  bool operator==(const KeyGroupRange&) const = default;
};

// The groups of instance 0 <= `instance` < `parallelism` (Flink's KeyGroupRangeAssignment). Throws
// kConfig unless 1 <= parallelism <= max_parallelism.
KeyGroupRange key_group_range(int instance, int parallelism, int max_parallelism);
// The instance that has a group.
int instance_of(int key_group, int parallelism, int max_parallelism);

// The group of each row's key; `columns` has one array per key column, plain or encoded. Without
// key columns all rows are of one key.
std::vector<int32_t> key_groups(std::span<const Array* const> columns, int64_t rows,
                                int max_parallelism);

}  // namespace pystream::state
