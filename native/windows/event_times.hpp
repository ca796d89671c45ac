#pragma once
// The event time and key columns of a window's input: which they may be, and their values.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "columns/record_batch.hpp"
#include "windows/route_rows.hpp"

namespace pystream::windows {

// The types of key columns. Throws kSchema when there is no such column.
std::vector<DataType> key_types(std::span<const int> key_columns, const Schema& input);

// The event-time column. Throws kSchema when there is no such column, or it holds no times.
const Field& event_time_field(int column, const Schema& input);

// The type in whose ticks a column of event times counts: its own; an int64 gets the unit, which
// its type does not say.
DataType tick_type(const DataType& column, TimeUnit int64_unit);
// Nanoseconds of a tick of what tick_type() returns.
int64_t tick_ns(const DataType& ticks);

// Event times of batches as int64. Owned by one thread of an operator; holds scratch only.
class EventTimes {
 public:
  explicit EventTimes(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  // The times of a batch's event-time column, valid until the next call; a column of another form
  // is copied. Throws kOperator when one is null, naming column and row.
  const int64_t* read(const Array& column);

  // Throws kOperator, naming column and row, when one of `count` >= 1 times has windows beyond what
  // the column's type can hold: they fit those in [lowest, highest]. Returns their extremes.
  TimeRange check_windows(const int64_t* times, int64_t count, int64_t lowest,
                          int64_t highest) const;
  // The same where windows end a tick behind their latest record: when one is the last of `type`.
  void check_last(const int64_t* times, int64_t count, const DataType& type) const;

 private:
  [[noreturn]] void fail(int64_t time, int64_t row, const std::string& what) const;

  std::string name_;
  std::vector<int64_t> copied_;
};

// The extremes of `count` >= 1 times.
TimeRange range_of(const int64_t* times, int64_t count);

}  // namespace pystream::windows
