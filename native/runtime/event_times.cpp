#include "runtime/event_times.hpp"

#include <algorithm>

namespace pystream::runtime {

namespace {

using windows::kMaxWatermark;
using windows::kMinWatermark;

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kSecondsPerDay = 86'400;
constexpr int64_t kEndOfCalendarSeconds = 253'402'300'800;  // 10000-01-01T00:00:00Z
constexpr int64_t kEndOfNanosSeconds = 9'214'646'400;       // 2262-01-01T00:00:00Z

int64_t floor_divide(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

int64_t saturated_multiply(int64_t value, int64_t factor) {
  int64_t product = 0;
  if (!__builtin_mul_overflow(value, factor, &product)) return product;
  return value < 0 ? INT64_MIN : INT64_MAX;
}

int64_t saturated_add(int64_t left, int64_t right) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(left, right, &sum)) return sum;
  return right < 0 ? INT64_MIN : INT64_MAX;
}

template <typename T>
void fill_progress(const Array& times, int64_t latest, Progress* progress) {
  const T* in = times.data<T>();
  MutableBuffer values(times.length * static_cast<int64_t>(sizeof(int64_t)));
  auto* out = values.as<int64_t>();
  const bool has_nulls = times.null_count > 0;
  for (int64_t row = 0; row < times.length; ++row) {
    const int64_t time = in[row];
    const bool is_there = !has_nulls || times.is_valid(row);
    const bool is_ahead = is_there && time > latest;
    out[row] = is_there && !is_ahead ? std::min(time, kMaxWatermark - 1) : kMinWatermark;
    progress->ahead += is_ahead;
    progress->maximum = std::max(progress->maximum, out[row]);
  }
  progress->rows.values = values.freeze();
}

}  // namespace

int64_t ticks_of(int64_t microseconds, const DataType& event_time) {
  if (event_time.id == TypeId::kDate32) {
    return floor_divide(microseconds, kMicrosPerSecond * kSecondsPerDay);
  }
  const int64_t ticks = ticks_per_second(event_time.unit);
  return ticks <= kMicrosPerSecond ? floor_divide(microseconds, kMicrosPerSecond / ticks)
                                   : saturated_multiply(microseconds, ticks / kMicrosPerSecond);
}

int64_t end_of_calendar(const DataType& event_time) {
  if (event_time.id == TypeId::kDate32) return kEndOfCalendarSeconds / kSecondsPerDay - 1;
  const bool is_short = event_time.unit == TimeUnit::kNano;
  const int64_t seconds = is_short ? kEndOfNanosSeconds : kEndOfCalendarSeconds;
  return seconds * ticks_per_second(event_time.unit) - 1;
}

int64_t plus_ticks(int64_t microseconds, int64_t ticks, const DataType& event_time) {
  return saturated_add(ticks_of(microseconds, event_time), ticks);
}

Progress progress_of(const Array& times, int64_t latest) {
  Progress progress;
  progress.rows.type = DataType::of(TypeId::kInt64);
  progress.rows.length = times.length;
  if (times.type.byte_width() == 4) {
    fill_progress<int32_t>(times, latest, &progress);
  } else {
    fill_progress<int64_t>(times, latest, &progress);
  }
  return progress;
}

}  // namespace pystream::runtime
