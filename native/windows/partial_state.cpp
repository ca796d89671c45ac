#include "windows/partial_state.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace pystream::windows {

namespace {

std::vector<DataType> key_types(const WindowAggregationSpec& spec, const Schema& input) {
  std::vector<DataType> types;
  for (const int key : spec.key_columns) {
    types.push_back(input.fields[static_cast<size_t>(key)].type);
  }
  return types;
}

}  // namespace

PartialState::PartialState(const WindowAggregationSpec* spec, const Schema& input,
                           const Slicing* slicing, const AccumulatorLayout* layout)
    : spec_(spec),
      slicing_(slicing),
      layout_(layout),
      time_name_(input.fields[static_cast<size_t>(spec->event_time_column)].name),
      keys_(key_types(*spec, input)),
      router_(slicing),
      accumulator_(layout) {}

void PartialState::add(const RecordBatch& rows, const RowWatermarks& watermarks, int64_t watermark,
                       bool expects_dense, std::vector<int32_t>* late) {
  const int64_t count = rows.num_rows;
  if (count == 0) return;
  const int64_t* times = event_times(rows);
  const TimeRange range = check_times(times, count);
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

  std::vector<const Array*> key_columns;
  for (const int key : spec_->key_columns) {
    key_columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  ids_.resize(static_cast<size_t>(count));
  keys_.find_or_insert(key_columns, count, ids_.data());

  router_.route(times, count, range, in_force, late);
  for (const RowRouter::Group& group : router_.groups()) {
    AccumulatorTable* table = table_for(group.route);
    table->prepare(keys_.size(), expects_dense);
    accumulator_.add(table, rows, ids_.data(),
                     {group.begin, group.count, router_.order(), times, watermarks.first_arrival});
  }
}

// The event times as int64; a column of another form is copied.
const int64_t* PartialState::event_times(const RecordBatch& rows) {
  const Array& column = rows.columns[static_cast<size_t>(spec_->event_time_column)];
  if (column.null_count > 0) {
    int64_t row = 0;
    while (column.is_valid(row)) ++row;
    throw Error(ErrorCode::kOperator,
                "event time is null: column '" + time_name_ + "', row " + std::to_string(row) +
                    " of the batch. Filter such rows out before the window, or give them a time.",
                {{"column", time_name_}, {"row", row}});
  }
  const Array plain = column.is_encoded() ? decode_dictionary(column) : column;
  if (plain.type.id != TypeId::kDate32 && !column.is_encoded()) return column.data<int64_t>();
  times_.resize(static_cast<size_t>(plain.length));
  if (plain.type.id == TypeId::kDate32) {
    std::copy_n(plain.data<int32_t>(), plain.length, times_.data());
  } else {
    std::copy_n(plain.data<int64_t>(), plain.length, times_.data());
  }
  return times_.data();
}

TimeRange PartialState::check_times(const int64_t* times, int64_t count) const {
  // Four at a time: a single chain of comparisons would wait for each other.
  int64_t low[4] = {times[0], times[0], times[0], times[0]};
  int64_t high[4] = {times[0], times[0], times[0], times[0]};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int lane = 0; lane < 4; ++lane) {
      low[lane] = std::min(low[lane], times[i + lane]);
      high[lane] = std::max(high[lane], times[i + lane]);
    }
  }
  for (; i < count; ++i) {
    low[0] = std::min(low[0], times[i]);
    high[0] = std::max(high[0], times[i]);
  }
  const int64_t lowest = *std::min_element(low, low + 4);
  const int64_t highest = *std::max_element(high, high + 4);
  if (lowest >= slicing_->lowest_time() && highest <= slicing_->highest_time()) {
    return {lowest, highest};
  }
  const int64_t bad = lowest < slicing_->lowest_time() ? lowest : highest;
  const int64_t row = std::find(times, times + count, bad) - times;
  throw Error(ErrorCode::kOperator,
              "event time " + std::to_string(bad) + " in column '" + time_name_ + "', row " +
                  std::to_string(row) +
                  " of the batch, has windows that start or end beyond what the column's type can "
                  "hold. Filter such times out before the window.",
              {{"column", time_name_}, {"row", row}, {"event_time", bad}});
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
