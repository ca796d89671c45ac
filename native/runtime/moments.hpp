#pragma once
// From the moments at which results came about to the watermarks that operators below see.

#include <cstdint>

#include "columns/buffer.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

// The watermark of each of `rows` results, as `last_until` gives it for a moment. Neighbours of one
// moment ask once.
template <typename LastUntil>
windows::RowWatermarks watermarks_at(const windows::RowWatermarks& moments, int64_t rows,
                                     LastUntil&& last_until) {
  windows::RowWatermarks found;
  found.all = last_until(moments.all);
  found.first_arrival = moments.first_arrival;
  if (!moments.per_row) return found;
  const int64_t* in = moments.per_row.as<int64_t>();
  MutableBuffer values(rows * static_cast<int64_t>(sizeof(int64_t)));
  auto* out = values.as<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    out[row] = row > 0 && in[row] == in[row - 1] ? out[row - 1] : last_until(in[row]);
  }
  found.per_row = values.freeze();
  return found;
}

}  // namespace pystream::runtime
