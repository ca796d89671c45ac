#include "runtime/watermark.hpp"

#include <algorithm>

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
    if (static_cast<int>(p) != partition) least = std::min(least, maxima_[p]);
  }
  return least;
}

BatchWatermarks WatermarkTracker::observe(int partition, int64_t minimum, int64_t maximum) {
  int64_t& own = maxima_[static_cast<size_t>(partition)];
  BatchWatermarks marks;
  marks.own_before = own;
  marks.others = least_of_others(partition);
  marks.minimum = minimum;
  marks.before = watermark_of(std::min(own, marks.others), delay_);
  own = std::max(own, maximum);
  marks.after = watermark_of(std::min(own, marks.others), delay_);
  return marks;
}

int64_t WatermarkTracker::current() const {
  return watermark_of(*std::min_element(maxima_.begin(), maxima_.end()), delay_);
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
