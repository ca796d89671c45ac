#pragma once
// Where each row's session would end if the row came alone: its event time plus the gap, which is
// one for all rows or stands in a column.

#include <cstdint>
#include <string>
#include <vector>

#include "columns/record_batch.hpp"
#include "windows/session_spec.hpp"

namespace pystream::windows {

// Owned by one operator; holds scratch only.
class SessionGaps {
 public:
  // Throws kConfig on a gap that is not positive, kSchema on a gap column that holds no durations.
  SessionGaps(const SessionSpec& spec, const Schema& input, const Field& event_time);

  bool is_constant() const { return spec_.gap_column < 0; }
  int64_t constant() const { return spec_.gap; }

  // Checks all rows of a batch; throws kOperator, with the row's values, on a gap that is null, not
  // positive or no whole number of ticks, and on an end beyond the event time's type.
  void check(const RecordBatch& batch, const int64_t* times);

  // Of the batch checked last: the end of each row, null when the gap is constant.
  const int64_t* ends() const { return is_constant() ? nullptr : ends_.data(); }

 private:
  template <typename V>
  void check_column(const Array& gaps, const int64_t* times);
  [[noreturn]] void throw_bad_gap(const std::string& gap, int64_t row, int64_t time) const;
  [[noreturn]] void throw_overflow(int64_t gap, int64_t row, int64_t time) const;

  SessionSpec spec_;
  std::string time_name_;
  int64_t highest_time_;
  std::string gap_name_;
  DataType gap_type_;
  __int128 tick_ns_ = 1;  // of the event time, and of one unit of the gap column
  __int128 unit_ns_ = 1;
  std::vector<int64_t> ends_;
  std::vector<int64_t> scratch_;
};

}  // namespace pystream::windows
