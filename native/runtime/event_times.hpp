#pragma once
// What a batch's event times are to its source: their extremes, and how far each row lets event
// time progress. Without a guard, and where it finds nothing, the two are one; else each row has
// its progress in a column of its own.

#include <cstdint>
#include <optional>

#include "columns/array.hpp"
#include "runtime/watermark.hpp"

namespace pystream::runtime {

// Microseconds in whole ticks of event time, rounded down; the nearest that fits. Here and below,
// `event_time` is what windows::tick_type() says of the column.
int64_t ticks_of(int64_t microseconds, const DataType& event_time);

// The last tick of the year 9999 or, where the type ends before, of the last whole year that it
// holds: 2261 for nanoseconds. Where records have no append time, what is later is taken for an
// error.
int64_t end_of_calendar(const DataType& event_time);

// ticks_of() and these ticks behind; the nearest that fits.
int64_t plus_ticks(int64_t microseconds, int64_t ticks, const DataType& event_time);

// How far each row lets event time progress: its time (or the watermark that it gives), and nothing
// (kMinWatermark) where that is above `latest` or null. Never kMaxWatermark, so that watermark_of()
// has room for its tick.
struct Progress {
  Array rows;                                // int64, no nulls
  int64_t maximum = windows::kMinWatermark;  // of them
  int64_t ahead = 0;                         // rows above `latest`
};
Progress progress_of(const Array& times, int64_t latest);

}  // namespace pystream::runtime
