#include "windows/partial_state.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace pystream::windows {

PartialState::PartialState(const WindowAggregationSpec* spec, const Schema& input,
                           const Slicing* slicing, const AccumulatorLayout* layout,
                           bool notes_arrivals)
    : spec_(spec),
      slicing_(slicing),
      layout_(layout),
      notes_arrivals_(notes_arrivals),
      keys_(key_types(spec->key_columns, input)),
      times_(input.fields[static_cast<size_t>(spec->event_time_column)].name),
      router_(slicing, spec->allowed_lateness),
      accumulator_(layout) {}

void PartialState::add(const RecordBatch& rows, const RowWatermarks& watermarks, int64_t watermark,
                       bool expects_dense, std::vector<int32_t>* late,
                       std::vector<int32_t>* behind) {
  const int64_t count = rows.num_rows;
  if (count == 0) return;
  const Times times = times_of(rows);
  WatermarkView in_force;
  // A watermark never goes back; a source that says less than advance() knew means the same.
  in_force.all = std::max(watermarks.all, watermark);
  if (watermarks.per_row) {
    clamped_.resize(static_cast<size_t>(count));
    const auto* given = watermarks.per_row.as<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      clamped_[static_cast<size_t>(i)] = std::max(given[i], watermark);
    }
    in_force.per_row = clamped_.data();
  }

  ids_.resize(static_cast<size_t>(count));
  keys_.find_or_insert(keys_of(rows), count, ids_.data());
  if (notes_arrivals_) note_arrivals(count, watermarks.first_arrival);

  router_.route(times.values, count, times.range, in_force, late, behind);
  for (const RowRouter::Group& group : router_.groups()) {
    AccumulatorTable* table = table_for(group.route);
    table->prepare(keys_.size(), expects_dense);
    accumulator_.add(
        table, rows, ids_.data(),
        {group.begin, group.count, router_.order(), times.values, watermarks.first_arrival});
  }
}

// New keys have the next ids in the order of the rows.
void PartialState::note_arrivals(int64_t count, int64_t first_arrival) {
  const size_t size = keys_.size();
  for (int64_t row = 0; row < count && first_arrivals_.size() < size; ++row) {
    if (ids_[static_cast<size_t>(row)] == first_arrivals_.size()) {
      first_arrivals_.push_back(first_arrival + row);
    }
  }
}

void PartialState::note_restored() {
  if (!notes_arrivals_) return;
  while (first_arrivals_.size() < keys_.size()) {
    first_arrivals_.push_back(INT64_MIN + static_cast<int64_t>(first_arrivals_.size()));
  }
}

PartialState::Times PartialState::times_of(const RecordBatch& rows) {
  const int64_t* values = times_.read(rows.columns[static_cast<size_t>(spec_->event_time_column)]);
  return {values, check_times(values, rows.num_rows)};
}

std::vector<const Array*> PartialState::keys_of(const RecordBatch& rows) const {
  std::vector<const Array*> columns;
  for (const int key : spec_->key_columns) {
    columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  return columns;
}

TimeRange PartialState::check_times(const int64_t* times, int64_t count) const {
  return times_.check_windows(times, count, slicing_->lowest_time(), slicing_->highest_time());
}

AccumulatorTable* PartialState::table_for(const Route& route) {
  if (route.from_window == kAllWindows) {
    const auto open = slices_.find(route.slice);
    if (open != slices_.end()) return &open->second;
    return &slices_.try_emplace(route.slice, layout_, std::move(spare_)).first->second;
  }
  return &late_slices_.try_emplace({route.from_window, route.slice}, layout_).first->second;
}

std::vector<uint32_t> PartialState::compact(std::span<const uint8_t> live) {
  std::vector<uint32_t> new_ids = keys_.compact(live);
  if (notes_arrivals_) {
    for (size_t id = 1; id < new_ids.size(); ++id) {
      if (new_ids[id] != state::kNoId) first_arrivals_[new_ids[id]] = first_arrivals_[id];
    }
    first_arrivals_.resize(keys_.size());
  }
  for (auto& [slice, table] : slices_) table.remap(new_ids);
  for (auto& [place, table] : late_slices_) table.remap(new_ids);
  return new_ids;
}

int64_t PartialState::bytes() const {
  int64_t total = keys_.bytes() + spare_.bytes();
  for (const auto& [slice, table] : slices_) total += table.bytes();
  for (const auto& [place, table] : late_slices_) total += table.bytes();
  return total;
}

}  // namespace pystream::windows
