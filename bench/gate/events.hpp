#pragma once
// Fixed input of the kernels: the same in every run.

#include <cstdint>
#include <functional>
#include <string_view>

#include "columns/record_batch.hpp"

namespace pystream::gate {

inline constexpr int64_t kRows = 65'536;
// The event time of the first row, and how many rows have the same.
inline constexpr int64_t kFirstMs = 1'357'000'000'000;
inline constexpr int64_t kRowsPerMs = 200;

uint64_t next_random(uint64_t* state);

Array int64_column(const DataType& type, const std::function<int64_t(int64_t)>& value);

// ts: timestamp[ms] in order, key: int64 or string, value: float64.
RecordBatch events(int64_t keys, bool text);

// The same events with other times: `time` gives them by row.
RecordBatch at_times(const RecordBatch& batch, const std::function<int64_t(int64_t)>& time);

}  // namespace pystream::gate
