#include "runtime/watermark_path.hpp"

#include <algorithm>
#include <utility>

#include "runtime/moments.hpp"

namespace pystream::runtime {

namespace {

constexpr int64_t kBlockRows = 64;

template <typename T>
void fill_maxima(const Array& progress, std::vector<int64_t>* maxima) {
  const T* times = progress.data<T>();
  T largest = times[0];
  for (int64_t begin = 0; begin < progress.length; begin += kBlockRows) {
    const int64_t end = std::min(progress.length, begin + kBlockRows);
    for (int64_t row = begin; row < end; ++row) largest = std::max(largest, times[row]);
    maxima->push_back(largest);
  }
}

// The largest time of rows [begin, length) before the first one beyond `limit`.
template <typename T>
int64_t largest_until(const Array& progress, int64_t begin, int64_t limit) {
  const T* times = progress.data<T>();
  int64_t largest = windows::kMinWatermark;
  for (int64_t row = begin; row < progress.length && times[row] <= limit; ++row) {
    largest = std::max<int64_t>(largest, times[row]);
  }
  return largest;
}

}  // namespace

void WatermarkPath::begin(int64_t watermark) {
  start_ = watermark;
  pieces_.clear();
}

void WatermarkPath::add(const WatermarkStep& step) {
  const int64_t before = pieces_.empty() ? start_ : pieces_.back().after;
  if (step.to > before) pieces_.push_back({step.to, step.is_gradual, nullptr});
}

void WatermarkPath::add(const SourceBatch& batch) {
  for (const WatermarkStep& step : batch.marks.steps) add(step);
  add(WatermarkStep{batch.marks.before, false});
  const int64_t before = pieces_.empty() ? start_ : pieces_.back().after;
  if (batch.marks.after > before) pieces_.push_back({batch.marks.after, false, &batch});
}

int64_t WatermarkPath::last_until(int64_t moment) const {
  if (moment <= start_) return moment;
  const auto beyond =
      std::upper_bound(pieces_.begin(), pieces_.end(), moment,
                       [](int64_t value, const Piece& piece) { return value < piece.after; });
  const int64_t before = beyond == pieces_.begin() ? start_ : std::prev(beyond)->after;
  if (beyond == pieces_.end()) return before;
  if (beyond->is_gradual) return moment;
  return beyond->batch == nullptr ? before : std::max(before, last_in(*beyond, moment));
}

// The batch takes the watermark from below `moment` to beyond it, so that nothing wraps around.
int64_t WatermarkPath::last_in(const Piece& piece, int64_t moment) const {
  look_into(piece);
  const int64_t limit = moment + delay_ + 1;
  const auto block = std::upper_bound(piece.maxima.begin(), piece.maxima.end(), limit);
  const int64_t begin = (block - piece.maxima.begin()) * kBlockRows;
  const int64_t within = piece.progress.type.byte_width() == 4
                             ? largest_until<int32_t>(piece.progress, begin, limit)
                             : largest_until<int64_t>(piece.progress, begin, limit);
  int64_t largest = std::max(piece.batch->marks.own_before, within);
  if (block != piece.maxima.begin()) largest = std::max(largest, *std::prev(block));
  return watermark_of(std::min(largest, piece.batch->marks.others), delay_);
}

void WatermarkPath::look_into(const Piece& piece) const {
  if (!piece.maxima.empty()) return;
  piece.progress =
      piece.batch->progress ? *piece.batch->progress : reader_->event_time(*piece.batch);
  if (piece.progress.type.byte_width() == 4) {
    fill_maxima<int32_t>(piece.progress, &piece.maxima);
  } else {
    fill_maxima<int64_t>(piece.progress, &piece.maxima);
  }
}

windows::RowWatermarks WatermarkPath::last_until(const windows::RowWatermarks& moments,
                                                 int64_t rows) const {
  return watermarks_at(moments, rows, [&](int64_t moment) { return last_until(moment); });
}

}  // namespace pystream::runtime
