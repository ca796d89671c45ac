#include "runtime/timeline.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/moments.hpp"
#include "runtime/source_group.hpp"

namespace pystream::runtime {

void Timeline::end() {
  if (round_ == nullptr) return;
  if (!round_->empty()) {
    last_.clear();
    for (const ScopeMarks& marks : round_->back().scopes) {
      last_.push_back({marks, marks.of_row(round_->back().marks.after)});
    }
  }
  round_ = nullptr;
  known_.reset();
}

Buffer Timeline::positions(int scope, std::optional<int64_t> position, const Rows& rows) {
  MutableBuffer out(rows.batch.num_rows * static_cast<int64_t>(sizeof(int64_t)));
  auto* positions = out.as<int64_t>();
  const windows::RowWatermarks& marks = rows.watermarks;
  if (position || !marks.per_row) {
    std::fill_n(positions, rows.batch.num_rows,
                position ? *position : first_above(scope, marks.all));
    return out.freeze();
  }
  const int64_t* watermarks = marks.per_row.as<int64_t>();
  for (int64_t row = 0; row < rows.batch.num_rows; ++row) {
    const bool is_known = row > 0 && watermarks[row] == watermarks[row - 1];
    positions[row] = is_known ? positions[row - 1] : first_above(scope, watermarks[row]);
  }
  return out.freeze();
}

const ScopeMarks& Timeline::marks(int scope, int64_t position) const {
  // What comes between two batches has been caused by the first, but sees what is there after it.
  const auto next = std::upper_bound(round_->begin(), round_->end(), position,
                                     [](int64_t at, const SourceBatch& batch) {
                                       return at < position_of_arrival(batch.first_arrival);
                                     });
  const auto at = static_cast<size_t>(scope);
  if (next != round_->begin()) return (next - 1)->scopes[at];
  static constexpr ScopeMarks kNothingYet;
  return last_.empty() ? kNothingYet : last_[at].marks;
}

int64_t Timeline::first_above(int scope, int64_t watermark) {
  const auto at = static_cast<size_t>(scope);
  const auto next = std::partition_point(
      round_->begin(), round_->end(),
      [&](const SourceBatch& batch) { return batch.scopes[at].before <= watermark; });
  if (next == round_->begin()) {
    return round_->empty() ? INT64_MAX : position_by_time(next->first_arrival);
  }
  const SourceBatch& batch = *(next - 1);
  const auto index = static_cast<size_t>(next - 1 - round_->begin());
  if (sources_[static_cast<size_t>(batch.source)].delay) {
    const int64_t* own = row_watermarks_of(index).as<int64_t>();
    const int64_t* end = own + batch.num_rows + 1;
    const int64_t* row = std::partition_point(
        own, end, [&](int64_t value) { return batch.scopes[at].of_row(value) <= watermark; });
    if (row != end) return position_behind(batch.first_arrival + (row - own) - 1);
  }
  // Time has moved it between the batches or, as a round ends there, the end of a source.
  return next != round_->end() ? position_by_time(next->first_arrival)
                               : position_behind(batch.first_arrival + batch.num_rows - 1);
}

int64_t Timeline::last_until(int scope, int64_t moment) {
  const int64_t position = first_above(scope, moment);
  const auto at = static_cast<size_t>(scope);
  const auto next =
      std::partition_point(round_->begin(), round_->end(), [&](const SourceBatch& batch) {
        return position_of_arrival(batch.first_arrival) <= position;
      });
  const bool is_gradual =
      next == round_->end() ? group_->is_gradual(scope) : next->scopes[at].is_gradual;
  if (next == round_->begin()) {
    if (is_gradual) return moment;
    return last_.empty() ? windows::kMinWatermark : std::min(last_[at].after, moment);
  }
  const SourceBatch& batch = *(next - 1);
  const auto row =
      static_cast<int64_t>((position + kPositionStep - 1) / kPositionStep - batch.first_arrival);
  const auto index = static_cast<size_t>(next - 1 - round_->begin());
  int64_t last = batch.scopes[at].before;
  bool is_behind = row >= batch.num_rows;  // what moved it came after the batch
  if (row > 0 && sources_[static_cast<size_t>(batch.source)].delay) {
    const int64_t* own = row_watermarks_of(index).as<int64_t>();
    const int64_t value = batch.scopes[at].of_row(own[row]);
    is_behind = is_behind && value <= moment;
    last = value <= moment ? value : batch.scopes[at].of_row(own[row - 1]);
  }
  return is_behind && is_gradual ? moment : std::min(last, moment);
}

windows::RowWatermarks Timeline::last_until(int scope, const windows::RowWatermarks& moments,
                                            int64_t rows) {
  return watermarks_at(moments, rows, [&](int64_t moment) { return last_until(scope, moment); });
}

const Buffer& Timeline::row_watermarks_of(size_t batch) {
  if (known_ == batch) return known_watermarks_;
  const SourceBatch& source = (*round_)[batch];
  const Source& of = sources_[static_cast<size_t>(source.source)];
  const Array time = source.progress ? *source.progress : of.reader->event_time(source);
  int64_t own = source.marks.own_before;
  const Buffer before = row_watermarks(time, &own, source.marks.others, *of.delay);
  MutableBuffer all((source.num_rows + 1) * static_cast<int64_t>(sizeof(int64_t)));
  std::memcpy(all.as<int64_t>(), before.data,
              static_cast<size_t>(source.num_rows) * sizeof(int64_t));
  all.as<int64_t>()[source.num_rows] = source.marks.after;
  known_watermarks_ = all.freeze();
  known_ = batch;
  return known_watermarks_;
}

}  // namespace pystream::runtime
