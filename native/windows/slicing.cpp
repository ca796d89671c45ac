#include "windows/slicing.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace pystream::windows {

namespace {

using Wide = __int128;  // holds every sum and product of two times

Wide floor_divide(Wide dividend, Wide divisor) {
  const Wide quotient = dividend / divisor;
  return quotient * divisor > dividend ? quotient - 1 : quotient;
}

int64_t saturate(Wide value) {
  return static_cast<int64_t>(std::clamp<Wide>(value, INT64_MIN, INT64_MAX));
}

// From one start of windows to the next.
int64_t period_of(const WindowSpec& spec) { return spec.is_cumulative ? spec.size : spec.slide; }

void check(const WindowSpec& spec) {
  if (spec.size <= 0) {
    throw Error(ErrorCode::kConfig, "window size is " + std::to_string(spec.size) +
                                        " ticks. Use a size of at least one tick.");
  }
  if (spec.slide <= 0) {
    throw Error(ErrorCode::kConfig, "window slide is " + std::to_string(spec.slide) +
                                        " ticks. Use a slide of at least one tick.");
  }
  if (spec.is_cumulative && spec.size % spec.slide != 0) {
    throw Error(ErrorCode::kConfig, "cumulative windows have a size of " +
                                        std::to_string(spec.size) + " ticks and a step of " +
                                        std::to_string(spec.slide) +
                                        ". Use a step that divides the size.");
  }
  const int64_t period = period_of(spec);
  if (spec.offset <= -period || spec.offset >= period) {
    throw Error(ErrorCode::kConfig, "window offset is " + std::to_string(spec.offset) +
                                        " ticks, and windows begin every " +
                                        std::to_string(period) +
                                        ". Use an offset shorter than that.");
  }
}

}  // namespace

Slicing::Slicing(const WindowSpec& spec, int64_t min_time, int64_t max_time)
    : size_(spec.size),
      slide_(spec.slide),
      offset_(spec.offset),
      is_cumulative_(spec.is_cumulative) {
  check(spec);
  const int64_t period = period_of(spec);
  // One period earlier names the same windows, and keeps offset + window * slide from overflowing.
  if (offset_ > 0) offset_ -= period;
  remainder_ = size_ % slide_;
  const int64_t whole = size_ / slide_;
  slices_per_slide_ = remainder_ == 0 ? 1 : 2;
  slices_per_window_ = remainder_ == 0 ? whole : 2 * whole + 1;
  // The first start that the type can hold, and the last start whose end it can hold. A time's
  // windows start in (time - size, time].
  const Wide first_start = -floor_divide(Wide{offset_} - min_time, period) * period + offset_;
  const Wide last_start = floor_divide(Wide{max_time} - size_ - offset_, period) * period + offset_;
  const Wide lowest = first_start - period + size_;
  const Wide highest = last_start + period - 1;
  lowest_time_ = saturate(std::max<Wide>(lowest, min_time));
  highest_time_ = saturate(std::min<Wide>(highest, max_time));
}

Slicing Slicing::of(const WindowSpec& spec, const DataType& time_type) {
  if (time_type.id == TypeId::kDate32) return {spec, INT32_MIN, INT32_MAX};
  return {spec, INT64_MIN, INT64_MAX};
}

int64_t Slicing::slice_of(int64_t time) const {
  int64_t since;
  int64_t window;
  int64_t within;
  if (!__builtin_sub_overflow(time, offset_, &since)) {
    window = since / slide_;
    within = since % slide_;
    if (within < 0) {
      within += slide_;
      --window;
    }
  } else {
    const Wide exact = floor_divide(Wide{time} - offset_, slide_);
    window = static_cast<int64_t>(exact);
    within = static_cast<int64_t>(Wide{time} - offset_ - exact * slide_);
  }
  if (slices_per_slide_ == 1) return window;
  return 2 * window + (within >= remainder_ ? 1 : 0);
}

SliceBounds Slicing::bounds(int64_t slice) const {
  if (slices_per_slide_ == 1) return {offset_ + slice * slide_, slide_};
  const int64_t start = window_start(slice >> 1);
  if ((slice & 1) == 0) return {start, remainder_};
  return {start + remainder_, slide_ - remainder_};
}

bool Slicing::is_late_in_gap(int64_t time, int64_t watermark, int64_t lateness) {
  return Wide{time} + lateness <= watermark;
}

int64_t Slicing::cycle_begin(int64_t slice) const {
  const int64_t within = slice % slices_per_window_;
  return slice - within - (within < 0 ? slices_per_window_ : 0);
}

int64_t Slicing::first_window(int64_t slice) const {
  if (is_cumulative_) return slice;
  const int64_t whole = size_ / slide_;
  if (slices_per_slide_ == 1) return slice - whole + 1;
  const int64_t last = slice >> 1;
  return (slice & 1) == 0 ? last - whole : last - whole + 1;
}

int64_t Slicing::last_window(int64_t slice) const {
  if (is_cumulative_) return cycle_begin(slice) + slices_per_window_ - 1;
  return slices_per_slide_ == 1 ? slice : slice >> 1;
}

int64_t Slicing::last_closed_window(int64_t watermark) const {
  const int64_t shortest = is_cumulative_ ? slide_ : size_;
  return saturate(floor_divide(Wide{watermark} + 1 - shortest - offset_, slide_));
}

int64_t Slicing::last_cleaned_window(int64_t watermark, int64_t lateness) const {
  if (watermark == kMaxWatermark) return last_closed_window(watermark);
  return last_closed_window(saturate(Wide{watermark} - lateness));
}

}  // namespace pystream::windows
