#pragma once
// When to look at sessions again: a radix heap. A timer lies in the bucket of the highest bit in
// which its time differs from the last watermark; as that moves on, a timer comes to ever lower
// buckets, sequentially and without comparisons, however far the times are apart. Timers that a
// watermark has passed come out in no order.
//
// Owned by one operator; one thread at a time. State that is rebuilt: one timer per session.

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pystream::windows {

class SessionTimers {
 public:
  // `time` is not before the last watermark that was passed.
  void arm(int64_t time, uint32_t session) { buckets_[bucket_of(time)].push_back({time, session}); }

  // Calls visit(time, session) for each timer with time <= watermark, which is then gone. It may
  // not arm. The watermark never goes back.
  template <typename Visit>
  void pass(int64_t watermark, Visit visit) {
    if (watermark < last_) return;
    const size_t reached = bucket_of(watermark);
    moved_.clear();
    for (size_t i = 0; i <= reached; ++i) {
      for (const Timer& timer : buckets_[i]) {
        if (timer.time <= watermark) {
          visit(timer.time, timer.session);
        } else {
          moved_.push_back(timer);
        }
      }
      buckets_[i].clear();
    }
    last_ = watermark;
    for (const Timer& timer : moved_) arm(timer.time, timer.session);
  }

  // A time at which to look again: not later than the first timer. None where there is none.
  std::optional<int64_t> next() const {
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (buckets_[i].empty()) continue;
      if (i == 0) return last_;
      if (i == 64) return 0;
      const uint64_t above = static_cast<uint64_t>(last_) >> i << i;
      return static_cast<int64_t>(above | uint64_t{1} << (i - 1));
    }
    return std::nullopt;
  }

  // Sessions have new numbers; timers of those without one (kNoId) are dropped.
  void remap(std::span<const uint32_t> sessions);

  int64_t bytes() const;

 private:
  struct Timer {
    int64_t time;
    uint32_t session;
  };

  size_t bucket_of(int64_t time) const {
    const uint64_t differing = static_cast<uint64_t>(time) ^ static_cast<uint64_t>(last_);
    return static_cast<size_t>(64 - std::countl_zero(differing));
  }

  int64_t last_ = INT64_MIN;
  std::array<std::vector<Timer>, 65> buckets_;
  std::vector<Timer> moved_;  // scratch
};

}  // namespace pystream::windows
