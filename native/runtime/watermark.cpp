#include "runtime/watermark.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/event_times.hpp"

namespace pystream::runtime {

using windows::kMaxWatermark;
using windows::kMinWatermark;

int64_t watermark_of(int64_t max_event_time, int64_t delay) {
  if (max_event_time == kMinWatermark) return kMinWatermark;
  // max - delay - 1 without overflow; delay >= 0.
  if (max_event_time < kMinWatermark + 1 + delay) return kMinWatermark;
  return max_event_time - delay - 1;
}

WatermarkTracker::WatermarkTracker(int partitions, int64_t delay)
    : delay_(delay), maxima_(static_cast<size_t>(partitions), kMinWatermark) {}

int64_t WatermarkTracker::least_of_others(int partition) const {
  int64_t least = kMaxWatermark;
  for (size_t p = 0; p < maxima_.size(); ++p) {
    if (static_cast<int>(p) != partition && is_counted(p)) least = std::min(least, maxima_[p]);
  }
  return least;
}

void WatermarkTracker::set_idleness(const IdlenessSpec& idleness, const DataType& event_time) {
  idle_.emplace(static_cast<int>(maxima_.size()), idleness.timeout_us);
  advances_when_idle_ = idleness.advances;
  event_time_ = event_time;
}

void WatermarkTracker::reach(int64_t event_time, bool is_gradual) {
  if (event_time <= reached_) return;
  reached_ = event_time;
  steps_.push_back({watermark_of(reached_, delay_), is_gradual});
}

void WatermarkTracker::pass_time(int64_t now_us) {
  while (idle_->next_moment(now_us)) {
    if (idle_->are_all()) {
      reached_idle_ = reached_;
    } else {
      reach(least_of_others(-1), false);
    }
  }
  if (!goes_on_with_time()) return;
  const int64_t now = plus_ticks(idle_->all_idle_us(), reached_idle_, event_time_);
  reach(std::min(now, kMaxWatermark - 1), true);
}

bool WatermarkTracker::goes_on_with_time() const {
  return idle_ && advances_when_idle_ && idle_->are_all() && reached_idle_ != kMinWatermark;
}

bool WatermarkTracker::pass_idle_time(int64_t now_us) {
  return idle_->has_started() && pass_log_time(now_us);
}

std::optional<int64_t> WatermarkTracker::idle_since_us() const {
  if (!idle_ || !idle_->are_all()) return std::nullopt;
  if (goes_on_with_time()) return std::nullopt;
  return idle_->all_since_us();
}

bool WatermarkTracker::pass_log_time(int64_t now_us) {
  const int64_t before = current();
  pass_time(now_us);
  return current() != before;
}

BatchWatermarks WatermarkTracker::observe(int partition, int64_t minimum, int64_t maximum,
                                          int64_t append_time_us) {
  if (idle_) {
    pass_time(append_time_us);
    idle_->wake(partition);
  }
  int64_t& own = maxima_[static_cast<size_t>(partition)];
  BatchWatermarks marks;
  // Without idleness `reached_` is below both, but for partitions that a snapshot did not have.
  marks.own_before = std::max(own, reached_);
  marks.others = std::max(least_of_others(partition), reached_);
  marks.minimum = minimum;
  marks.steps = take_steps();
  marks.before = watermark_of(std::min(marks.own_before, marks.others), delay_);
  own = std::max(own, maximum);
  const int64_t after = std::min(std::max(own, reached_), marks.others);
  if (idle_) reached_ = after;
  marks.after = watermark_of(after, delay_);
  return marks;
}

int64_t WatermarkTracker::current() const { return watermark_of(reached(), delay_); }

int64_t WatermarkTracker::reached() const {
  if (idle_) return reached_;
  return std::max(reached_, *std::min_element(maxima_.begin(), maxima_.end()));
}

WatermarkState WatermarkTracker::state() const {
  WatermarkState state;
  for (size_t p = 0; p < maxima_.size(); ++p) {
    WatermarkState::Partition& partition = state.partitions.emplace_back();
    partition.maximum = maxima_[p];
    partition.idleness.had_batch = maxima_[p] != kMinWatermark;
    if (idle_) partition.idleness = idle_->partition(static_cast<int>(p));
  }
  state.reached = reached();
  state.reached_idle = reached_idle_;
  if (idle_) state.idleness = idle_->state();
  return state;
}

void WatermarkTracker::restore(const WatermarkState& state) {
  std::vector<PartitionIdleness> idleness;
  for (size_t p = 0; p < maxima_.size(); ++p) {
    maxima_[p] = state.partitions[p].maximum;
    idleness.push_back(state.partitions[p].idleness);
  }
  reached_ = state.reached;
  reached_idle_ = state.reached_idle;
  if (idle_) idle_->restore(state.idleness, idleness);
  steps_.clear();
}

namespace {

template <typename T>
int64_t fill_watermarks(const T* times, int64_t length, int64_t own, int64_t others, int64_t delay,
                        int64_t* out) {
  int64_t row = 0;
  // Until the partition has had a record, or while another has none, the watermark stands at its
  // minimum, which the subtraction below must not touch.
  const int64_t floor = kMinWatermark + 1 + delay;
  for (; row < length && std::min(own, others) < floor; ++row) {
    out[row] = kMinWatermark;
    own = std::max<int64_t>(own, times[row]);
  }
  for (; row < length; ++row) {
    out[row] = std::min(own, others) - delay - 1;
    own = std::max<int64_t>(own, times[row]);
  }
  return own;
}

// Large enough to keep the vector loop busy, small enough that its range of event times is narrow.
constexpr int64_t kDelayBlockRows = 64;

template <typename T>
[[gnu::always_inline]] inline void block_range(const T* times, T* minimum, T* maximum) {
  typedef T Vector __attribute__((vector_size(32)));
  constexpr int64_t kLanes = 32 / sizeof(T);
  Vector low;
  std::memcpy(&low, times, sizeof(low));
  Vector high = low;
  for (int64_t row = kLanes; row < kDelayBlockRows; row += kLanes) {
    Vector value;
    std::memcpy(&value, times + row, sizeof(value));
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  *minimum = low[0];
  *maximum = high[0];
  for (int64_t lane = 1; lane < kLanes; ++lane) {
    *minimum = std::min(*minimum, low[lane]);
    *maximum = std::max(*maximum, high[lane]);
  }
}

// `largest` >= `time`, so the unsigned difference is exact.
bool is_within(int64_t largest, int64_t time, int64_t delay) {
  return static_cast<uint64_t>(largest) - static_cast<uint64_t>(time) <=
         static_cast<uint64_t>(delay);
}

template <typename T>
bool rows_keep_to_delay(const T* times, int64_t length, int64_t* own, int64_t delay) {
  for (int64_t row = 0; row < length; ++row) {
    *own = std::max<int64_t>(*own, times[row]);
    if (!is_within(*own, times[row], delay)) return false;
  }
  return true;
}

template <typename T>
[[gnu::always_inline]] inline bool blocks_keep_to_delay(const T* times, int64_t length,
                                                        int64_t* own, int64_t delay) {
  int64_t row = 0;
  for (; row + kDelayBlockRows <= length; row += kDelayBlockRows) {
    T minimum;
    T maximum;
    block_range(times + row, &minimum, &maximum);
    const int64_t largest = std::max<int64_t>(*own, maximum);
    if (is_within(largest, minimum, delay)) {
      *own = largest;
    } else if (!rows_keep_to_delay(times + row, kDelayBlockRows, own, delay)) {
      return false;
    }
  }
  return rows_keep_to_delay(times + row, length - row, own, delay);
}

template <typename T>
bool blocks_keep_baseline(const T* times, int64_t length, int64_t* own, int64_t delay) {
  return blocks_keep_to_delay(times, length, own, delay);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) bool blocks_keep_avx2(const T* times, int64_t length, int64_t* own,
                                                      int64_t delay) {
  return blocks_keep_to_delay(times, length, own, delay);
}
#endif

template <typename T>
bool all_keep_to_delay(const T* times, int64_t length, int64_t* own, int64_t delay) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return blocks_keep_avx2(times, length, own, delay);
#endif
  return blocks_keep_baseline(times, length, own, delay);
}

template <typename T>
Extremes scan(const T* times, int64_t length) {
  T minimum = times[0];
  T maximum = times[0];
  for (int64_t row = 1; row < length; ++row) {
    minimum = std::min(minimum, times[row]);
    maximum = std::max(maximum, times[row]);
  }
  return {minimum, maximum};
}

}  // namespace

Buffer row_watermarks(const Array& event_time, int64_t* own_before, int64_t others, int64_t delay) {
  MutableBuffer out(event_time.length * static_cast<int64_t>(sizeof(int64_t)));
  if (event_time.type.byte_width() == 4) {
    *own_before = fill_watermarks(event_time.data<int32_t>(), event_time.length, *own_before,
                                  others, delay, out.as<int64_t>());
  } else {
    *own_before = fill_watermarks(event_time.data<int64_t>(), event_time.length, *own_before,
                                  others, delay, out.as<int64_t>());
  }
  return out.freeze();
}

bool keeps_to_delay(const Array& event_time, int64_t* own_before, int64_t delay) {
  int64_t own = *own_before;
  const bool all_keep =
      event_time.type.byte_width() == 4
          ? all_keep_to_delay(event_time.data<int32_t>(), event_time.length, &own, delay)
          : all_keep_to_delay(event_time.data<int64_t>(), event_time.length, &own, delay);
  if (all_keep) *own_before = own;
  return all_keep;
}

Extremes extremes_of(const Array& event_time) {
  if (event_time.type.byte_width() == 4) {
    return scan(event_time.data<int32_t>(), event_time.length);
  }
  return scan(event_time.data<int64_t>(), event_time.length);
}

bool is_event_time_type(const DataType& type) {
  return type.id == TypeId::kInt64 || type.id == TypeId::kTimestamp || type.id == TypeId::kDate32;
}

}  // namespace pystream::runtime
