#include "windows/event_times.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace pystream::windows {

std::vector<DataType> key_types(std::span<const int> key_columns, const Schema& input) {
  std::vector<DataType> types;
  for (const int key : key_columns) {
    if (key < 0 || key >= input.size()) {
      throw Error(ErrorCode::kSchema, "key column number " + std::to_string(key) + " of " +
                                          std::to_string(input.size()) +
                                          " does not exist. Name a column of the input.");
    }
    const Field& field = input.fields[static_cast<size_t>(key)];
    if (field.type.is_list()) {
      throw Error(ErrorCode::kSchema,
                  "the key cannot be column '" + field.name + "' of type " +
                      field.type.to_string() + ": lists are no keys. Name another column.",
                  {{"column", field.name}, {"got", field.type.to_string()}});
    }
    types.push_back(field.type);
  }
  return types;
}

const Field& event_time_field(int column, const Schema& input) {
  if (column < 0 || column >= input.size()) {
    throw Error(ErrorCode::kSchema, "event-time column number " + std::to_string(column) + " of " +
                                        std::to_string(input.size()) +
                                        " does not exist. Name a column of the input.");
  }
  const Field& field = input.fields[static_cast<size_t>(column)];
  const TypeId id = field.type.id;
  if (id == TypeId::kTimestamp || id == TypeId::kInt64 || id == TypeId::kDate32) return field;
  throw Error(ErrorCode::kSchema,
              "event time cannot be column '" + field.name + "' of type " + field.type.to_string() +
                  ". Use a timestamp, date32 or int64 column.",
              {{"column", field.name}});
}

DataType tick_type(const DataType& column, TimeUnit int64_unit) {
  DataType ticks = column;
  if (column.id == TypeId::kInt64) ticks.unit = int64_unit;
  return ticks;
}

int64_t tick_ns(const DataType& ticks) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  if (ticks.id == TypeId::kDate32) return 86'400 * kSecondNs;
  return kSecondNs / ticks_per_second(ticks.unit);
}

const int64_t* EventTimes::read(const Array& column) {
  if (column.null_count > 0) {
    int64_t row = 0;
    while (column.is_valid(row)) ++row;
    throw Error(ErrorCode::kOperator,
                "event time is null: column '" + name_ + "', row " + std::to_string(row) +
                    " of the batch. Filter such rows out before the window, or give them a time.",
                {{"column", name_}, {"row", row}});
  }
  const Array plain = column.is_encoded() ? decode_dictionary(column) : column;
  if (plain.type.id != TypeId::kDate32 && !column.is_encoded()) return column.data<int64_t>();
  copied_.resize(static_cast<size_t>(plain.length));
  if (plain.type.id == TypeId::kDate32) {
    std::copy_n(plain.data<int32_t>(), plain.length, copied_.data());
  } else {
    std::copy_n(plain.data<int64_t>(), plain.length, copied_.data());
  }
  return copied_.data();
}

TimeRange EventTimes::check_windows(const int64_t* times, int64_t count, int64_t lowest,
                                    int64_t highest) const {
  const TimeRange range = range_of(times, count);
  if (range.lowest >= lowest && range.highest <= highest) return range;
  const int64_t bad = range.lowest < lowest ? range.lowest : range.highest;
  fail(bad, std::find(times, times + count, bad) - times,
       "has windows that start or end beyond what the column's type can hold");
}

void EventTimes::check_last(const int64_t* times, int64_t count, const DataType& type) const {
  const int64_t last = type.id == TypeId::kDate32 ? INT32_MAX : INT64_MAX;
  const int64_t* bad = std::find(times, times + count, last);
  if (bad == times + count) return;
  fail(last, bad - times,
       "is the last that the column's type can hold, so that no window can end behind it");
}

void EventTimes::fail(int64_t time, int64_t row, const std::string& what) const {
  throw Error(ErrorCode::kOperator,
              "event time " + std::to_string(time) + " in column '" + name_ + "', row " +
                  std::to_string(row) + " of the batch, " + what +
                  ". Filter such times out before the window.",
              {{"column", name_}, {"row", row}, {"event_time", time}});
}

TimeRange range_of(const int64_t* times, int64_t count) {
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
  return {*std::min_element(low, low + 4), *std::max_element(high, high + 4)};
}

}  // namespace pystream::windows
