#pragma once
// Counters of one operator: written by the threads of the executor, readable by any thread at any
// time. A reading is not a consistent cut over several counters. docs/metrics.md says what each
// means and what Flink calls it.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "columns/data_type.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

inline constexpr int64_t kNoDrift = INT64_MIN;

struct OperatorMetrics {
  std::atomic<int64_t> records_in{0};
  std::atomic<int64_t> records_out{0};   // of output 0
  std::atomic<int64_t> batches_in{0};    // of a source: batches read
  std::atomic<int64_t> late_records{0};  // rows that entered no window, consumed by someone or not
  std::atomic<int64_t> accepted_late_records{0};  // rows that came behind a window and entered one
  std::atomic<int64_t> skipped_records{0};  // of a source: stepped over, for they were damaged
  std::atomic<int64_t> ahead_records{0};    // of a source: too far ahead to move the watermark
  // Of a source that is aligned with others: how far it is ahead of the last of them, and how often
  // it had to wait.
  std::atomic<int64_t> alignment_drift_ns{kNoDrift};
  std::atomic<int64_t> alignment_pauses{0};
  std::atomic<int64_t> watermark{windows::kMinWatermark};
  std::atomic<int64_t> state_bytes{0};
  std::atomic<int64_t> has_dropped{0};  // windows that were open when the input ended
  std::atomic<int64_t> busy_ns{0};      // at work, over all threads, without the operators below

  static void add(std::atomic<int64_t>& counter, int64_t count) {
    counter.fetch_add(count, std::memory_order_relaxed);
  }
  static void set(std::atomic<int64_t>& gauge, int64_t value) {
    gauge.store(value, std::memory_order_relaxed);
  }
};

// One reading.
struct MetricsSnapshot {
  std::string name;
  std::string kind;  // "topic source", "filter", "window", ...
  int64_t records_in = 0;
  int64_t records_out = 0;
  int64_t batches_in = 0;
  int64_t late_records = 0;
  int64_t accepted_late_records = 0;
  int64_t skipped_records = 0;
  int64_t ahead_records = 0;
  std::optional<int64_t> alignment_drift_ns;  // none: not aligned, or not known yet
  int64_t alignment_pauses = 0;
  int64_t watermark = windows::kMinWatermark;
  int64_t state_bytes = 0;
  bool has_dropped = false;  // windows that were open when the input ended, without a word
  int64_t busy_ns = 0;
  int threads = 1;  // that may be at work in it at once
  // Of a topic source: records that are there and not yet taken.
  std::optional<int64_t> pending_records;
  // Type of the event-time column in whose ticks the watermark counts; none without a watermark.
  std::optional<DataType> watermark_type;
};

}  // namespace pystream::runtime
