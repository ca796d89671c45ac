#pragma once
// What the kernels of windows have in common.

#include <vector>

#include "events.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::gate {

inline const std::vector<windows::AggregateSpec> kPlainAggregates = {
    {windows::AggregateKind::kCountAll, -1, "n"},
    {windows::AggregateKind::kSum, 2, "s"},
    {windows::AggregateKind::kMin, 2, "lo"},
    {windows::AggregateKind::kMax, 2, "hi"}};

inline constexpr windows::WindowSpec kTenSeconds = {10'000, 10'000, 0};

// By key, the plain aggregates.
inline windows::WindowAggregationSpec windowed(windows::WindowSpec window) {
  windows::WindowAggregationSpec spec;
  spec.window = window;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  return spec;
}

// `count` batches of the events, one behind the other in time; each takes a third of a second. With
// `late_every`, one row of so many comes a fifth of a second late.
inline std::vector<RecordBatch> rounds_of(const RecordBatch& batch, int64_t count,
                                          int64_t late_every = 0) {
  constexpr int64_t kBatchMs = kRows / kRowsPerMs + 1;
  std::vector<RecordBatch> rounds;
  for (int64_t round = 0; round < count; ++round) {
    rounds.push_back(at_times(batch, [&](int64_t i) {
      const int64_t late = late_every > 0 && i % late_every == late_every - 1 ? 200 : 0;
      return kFirstMs + round * kBatchMs + i / kRowsPerMs - late;
    }));
  }
  return rounds;
}

// That of the last row before the batch, in order.
inline int64_t watermark_before(const RecordBatch& batch) {
  return batch.columns[0].data<int64_t>()[0] - 1;
}

}  // namespace pystream::gate
