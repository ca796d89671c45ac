#pragma once
// Watermarks of a source, exact for every row: the watermark in force when a row arrives is
//
//   min(maximum of the row's own partition before it, maxima of the other partitions) - delay - 1
//
// (where idle partitions are left out of the others, never below the watermark before),
// where the batches of all partitions are counted in append order and "maximum" means the largest
// event time so far. A tracker walks the batches in that order by their minimum and maximum alone;
// what it notes for each is all that a thread needs to compute the rows' watermarks on its own.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "columns/array.hpp"
#include "runtime/idleness.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

// Bounded out-of-orderness; kMinWatermark stays itself, and nothing wraps around.
int64_t watermark_of(int64_t max_event_time, int64_t delay);

// A move of the watermark that no row of a batch made: at once, or tick by tick.
struct WatermarkStep {
  int64_t to = windows::kMinWatermark;
  bool is_gradual = false;
};

// One batch's place in the order of event time.
struct BatchWatermarks {
  int64_t own_before = windows::kMinWatermark;  // running maximum of its partition before it
  int64_t others = windows::kMaxWatermark;      // least running maximum of the other partitions
  int64_t minimum = 0;                          // of its event times
  int64_t before = windows::kMinWatermark;      // watermark before its first row
  int64_t after = windows::kMinWatermark;       // watermark after its last row
  // How the watermark came from that after the batch before to `before`, as far as it did so in
  // more than one step.
  std::vector<WatermarkStep> steps;
};

// What a tracker knows, in event time; plain data, for snapshots. kMinWatermark: none yet.
struct WatermarkState {
  struct Partition {
    int64_t maximum = windows::kMinWatermark;
    PartitionIdleness idleness;
  };
  std::vector<Partition> partitions;
  int64_t reached = windows::kMinWatermark;
  int64_t reached_idle = windows::kMinWatermark;
  IdlenessState idleness;
};

// Running maxima of the partitions of one source, of which idle ones may be left out. One thread.
class WatermarkTracker {
 public:
  WatermarkTracker(int partitions, int64_t delay);
  // `event_time`: the type in whose ticks the watermark counts.
  void set_idleness(const IdlenessSpec& idleness, const DataType& event_time);
  bool has_idleness() const { return idle_.has_value(); }

  // Counts a batch with these extremes of event time.
  BatchWatermarks observe(int partition, int64_t minimum, int64_t maximum,
                          int64_t append_time_us = 0);
  // Time has come to `now_us` without a batch. Whether the watermark moved.
  bool pass_idle_time(int64_t now_us);
  // The same, as other sources say: partitions count from there on at the latest.
  bool pass_log_time(int64_t now_us);
  // With idleness: since when all partitions have been idle and do not move the watermark.
  std::optional<int64_t> idle_since_us() const;
  // With idleness: whether all partitions are idle, and time moves the watermark.
  bool goes_on_with_time() const;
  // The watermark after everything observed.
  int64_t current() const;
  // How it came there since the last batch, with idleness.
  std::vector<WatermarkStep> take_steps() { return std::exchange(steps_, {}); }

  WatermarkState state() const;
  // Of as many partitions. The state may be of a tracker without idleness, or of one with it.
  void restore(const WatermarkState& state);

 private:
  bool is_counted(size_t partition) const {
    return !idle_ || !idle_->is_idle(static_cast<int>(partition));
  }
  // The event time that the watermark goes by.
  int64_t reached() const;
  // Of the partitions that are not idle; kMaxWatermark when there is none.
  int64_t least_of_others(int partition) const;
  void pass_time(int64_t now_us);
  void reach(int64_t event_time, bool is_gradual);

  int64_t delay_;
  std::vector<int64_t> maxima_;
  // With idleness: a partition that comes back may be behind, and the watermark stays then.
  std::optional<IdlePartitions> idle_;
  bool advances_when_idle_ = false;
  DataType event_time_;
  // Largest minimum over partitions so far; without idleness, that of a snapshot.
  int64_t reached_ = windows::kMinWatermark;
  int64_t reached_idle_ = windows::kMinWatermark;  // when the last of them became idle
  std::vector<WatermarkStep> steps_;               // since the last batch; of the round at work
};

// The watermark before each row of an event-time column (int64, timestamp or date32, plain, no
// nulls). `own_before` is moved on to the maximum after the last row, ready for the next part of
// the same batch.
Buffer row_watermarks(const Array& event_time, int64_t* own_before, int64_t others, int64_t delay);

// Whether every row comes at most `delay` after a larger event time of its own partition. Then each
// row is above its watermark, so it is late for no window whatever, and the rows' own watermarks
// need not be known. If so, `own_before` is moved on as by row_watermarks(), else it stays.
bool keeps_to_delay(const Array& event_time, int64_t* own_before, int64_t delay);

struct Extremes {
  int64_t minimum = windows::kMaxWatermark;
  int64_t maximum = windows::kMinWatermark;
};

// Of a plain event-time column without nulls, at least one row.
Extremes extremes_of(const Array& event_time);

// Whether a column of this type can be the event time.
bool is_event_time_type(const DataType& type);

}  // namespace pystream::runtime
