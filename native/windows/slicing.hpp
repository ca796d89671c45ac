#pragma once
// The arithmetic of windows and slices.
//
// Windows start every `slide` ticks and are `size` long; window w is
// [offset + w * slide, offset + w * slide + size). Time is cut into slices at every start and every
// end of a window, so a slice lies entirely inside or outside of each window, and a window's result
// is the merge of its slices. When the slide divides the size that is one slice per slide;
// otherwise an end falls inside each slide and there are two:
//
//   slide      |-----------|-----------|-----------|      size = 2.5 slides
//   slices     |  0  |  1  |  2  |  3  |  4  |  5  |
//   window 0   [---------------------------)              slices 0 to 4
//   window 1               [---------------------------)  slices 2 to 6
//
// With a slide larger than the size the second of the two is in no window:
//
//   slices     |  0  |   1   |  2  |   3   |                size = 0.4 slides
//   windows    [--0--)       [--1--)
//
// Cumulative windows begin every `size` ticks and end at every `slide` after that. They are
// numbered by their ends, so that window w ends with slice w and begins with the first slice of its
// cycle:
//
//   slices     |  0  |  1  |  2  |  3  |  4  |  5  |      size = 3 slides
//   windows    [--0--)           [--3--)
//              [-----1-----)     [-----4-----)
//              [--------2--------)-------5--------)
//
// Immutable after construction; any thread may call.

#include <cstdint>

#include "windows/window_aggregation.hpp"

namespace pystream::windows {

// Rows with begin <= time < begin + length.
struct SliceBounds {
  int64_t begin = 0;
  int64_t length = 0;
};

class Slicing {
 public:
  // Throws kConfig unless 0 < size, 0 < slide and |offset| < slide; of cumulative windows, unless
  // slide divides size and |offset| < size. [min_time, max_time] is what the event-time column's
  // type can hold.
  Slicing(const WindowSpec& spec, int64_t min_time, int64_t max_time);
  static Slicing of(const WindowSpec& spec, const DataType& time_type);

  // Times whose windows all start and end within the type. Outside of it a row cannot be placed.
  int64_t lowest_time() const { return lowest_time_; }
  int64_t highest_time() const { return highest_time_; }

  // The slice that holds `time`, which is in [lowest_time(), highest_time()].
  int64_t slice_of(int64_t time) const;
  SliceBounds bounds(int64_t slice) const;

  // Whether there are times between windows.
  bool has_gaps() const { return slide_ > size_; }
  bool is_gap(int64_t slice) const { return has_gaps() && (slice & 1) != 0; }
  // Of a time between windows. It is dropped without a word unless it is late by itself, as in
  // Flink's WindowOperator::isElementLate.
  static bool is_late_in_gap(int64_t time, int64_t watermark, int64_t lateness);

  // The windows that hold a slice that is no gap, and the slices of a window.
  int64_t first_window(int64_t slice) const;
  int64_t last_window(int64_t slice) const;
  int64_t first_slice(int64_t window) const {
    return is_cumulative_ ? cycle_begin(window) : window * slices_per_slide_;
  }
  int64_t end_slice(int64_t window) const {
    return is_cumulative_ ? window + 1 : first_slice(window) + slices_per_window_;
  }
  // Of cumulative windows, the longest one's.
  int64_t slices_per_window() const { return slices_per_window_; }

  int64_t window_start(int64_t window) const {
    return offset_ + (is_cumulative_ ? cycle_begin(window) : window) * slide_;
  }
  int64_t window_end(int64_t window) const {
    return is_cumulative_ ? offset_ + window * slide_ + slide_ : window_start(window) + size_;
  }

  // The last window with end - 1 <= watermark; may be one that no row can be in.
  int64_t last_closed_window(int64_t watermark) const;

  // The last window with end - 1 + lateness <= watermark, where a sum beyond int64 is its largest.
  int64_t last_cleaned_window(int64_t watermark, int64_t lateness) const;

 private:
  // The first slice, and window, of the cycle that a slice or window is in.
  int64_t cycle_begin(int64_t slice) const;

  int64_t size_;
  int64_t slide_;
  int64_t offset_;
  bool is_cumulative_;
  int64_t remainder_;  // size mod slide: where ends fall within a slide
  int64_t slices_per_slide_;
  int64_t slices_per_window_;
  int64_t lowest_time_;
  int64_t highest_time_;
};

}  // namespace pystream::windows
