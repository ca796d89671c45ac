#pragma once
// Processing time: what the clock shows when rows are taken, in milliseconds, which never goes
// back.
//
// All records of a round have one time. So a round of a job that looks at the clock ends where the
// clock has moved on: each record has the time at which its source handed it out.
//
// Owned by the executor; one thread at a time.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.hpp"

namespace pystream::runtime {

class RoundClock {
 public:
  // Null: the wall clock.
  explicit RoundClock(std::shared_ptr<const ManualClock> clock) : clock_(std::move(clock)) {}

  int64_t now_us() const { return clock_ ? clock_->load() : wall_clock_us(); }
  // Where the clock was set back, the latest that it has shown.
  int64_t now_ms() {
    const int64_t us = now_us();
    const int64_t ms = us / 1000 - (us % 1000 < 0 ? 1 : 0);
    latest_ms_ = std::max(latest_ms_, ms);
    return latest_ms_;
  }

  // Whether a round may take a batch now: its first one sets its time.
  bool may_take(bool is_first) {
    const int64_t now = now_ms();
    if (is_first) round_ms_ = now;
    return now == round_ms_;
  }
  int64_t round_ms() const { return round_ms_; }

  // The latest that it has shown. A job that goes on never shows an earlier time.
  int64_t latest_ms() const { return latest_ms_; }
  void restore(int64_t latest_ms) { latest_ms_ = latest_ms; }

 private:
  std::shared_ptr<const ManualClock> clock_;
  int64_t latest_ms_ = INT64_MIN;
  int64_t round_ms_ = INT64_MIN;
};

}  // namespace pystream::runtime
