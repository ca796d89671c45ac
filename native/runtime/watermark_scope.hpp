#pragma once
// The watermark of several sources as one: that of their union. It is the minimum over those that
// are neither idle nor at their end, and never goes back. When the last of them becomes idle it
// goes to the largest of theirs, for none will move it any more (Flink's StatusWatermarkValve);
// when all are at their end, behind everything.

#include <cstdint>
#include <vector>

#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

struct SourceStatus {
  int64_t watermark = windows::kMinWatermark;
  bool is_idle = false;
  int64_t idle_since_us = 0;  // in the time of the log
  bool has_ended = false;
  bool goes_on_with_time = false;  // all idle, and the watermark takes every value from there on
};

// A scope around one batch. For a row of it the watermark is max(before, min(own, others)), where
// `own` is the row's watermark in its own source.
struct ScopeMarks {
  int64_t before = windows::kMinWatermark;  // when the batch comes
  int64_t others = windows::kMinWatermark;  // of the other sources; the minimum where its source
                                            // does not count here
  bool is_gradual = false;                  // time has moved it to `before`, tick by tick

  int64_t of_row(int64_t own) const {
    const int64_t least = own < others ? own : others;
    return least > before ? least : before;
  }
};

// One thread.
class WatermarkScope {
 public:
  // Plain data, for snapshots.
  struct State {
    int64_t watermark = windows::kMinWatermark;
    bool are_all_idle = false;
  };

  // `sources`: ascending, by their place among the statuses. Where they do not count in the same
  // ticks the watermark stays at its minimum until all are at their end.
  WatermarkScope(std::vector<int> sources, bool has_common_ticks);

  // Follows the sources to where they are now; whether the watermark moved.
  bool settle(const std::vector<SourceStatus>& now);
  // The same where time alone has moved them.
  bool pass_time(const std::vector<SourceStatus>& now);
  // For a batch of `source`, which is not idle now.
  ScopeMarks marks(int source, const std::vector<SourceStatus>& now) const;
  int64_t current() const { return reached_; }
  // Whether what moved the watermark last was time, tick by tick.
  bool is_gradual() const { return is_gradual_; }

  State state() const { return {reached_, are_all_idle_}; }
  void restore(State state) {
    reached_ = state.watermark;
    are_all_idle_ = state.are_all_idle;
  }

 private:
  int64_t when_all_idle(const std::vector<SourceStatus>& now) const;

  std::vector<int> sources_;
  bool has_common_ticks_;
  int64_t reached_ = windows::kMinWatermark;
  bool are_all_idle_ = false;
  bool is_gradual_ = false;  // of the round at work
};

}  // namespace pystream::runtime
