#include "windows/session_gaps.hpp"

#include <type_traits>

#include "base/error.hpp"
#include "windows/event_times.hpp"
#include "windows/load_values.hpp"

namespace pystream::windows {

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

}  // namespace

SessionGaps::SessionGaps(const SessionSpec& spec, const Schema& input, const Field& event_time)
    : spec_(spec),
      time_name_(event_time.name),
      highest_time_(event_time.type.id == TypeId::kDate32 ? INT32_MAX : INT64_MAX) {
  if (is_constant()) {
    if (spec.gap > 0) return;
    throw Error(ErrorCode::kConfig,
                "the gap of sessions is " + std::to_string(spec.gap) + " ticks. Use at least one.");
  }
  if (spec.gap_column >= input.size()) {
    throw Error(ErrorCode::kSchema, "gap column number " + std::to_string(spec.gap_column) +
                                        " of " + std::to_string(input.size()) +
                                        " does not exist. Name a column of the input.");
  }
  const Field& gap = input.fields[static_cast<size_t>(spec.gap_column)];
  gap_name_ = gap.name;
  gap_type_ = gap.type;
  if (gap.type.id == TypeId::kDuration) {
    tick_ns_ = tick_ns(tick_type(event_time.type, spec.int64_unit));
    unit_ns_ = kSecondNs / ticks_per_second(gap.type.unit);
  } else if (!gap.type.is_integer()) {
    throw Error(ErrorCode::kSchema,
                "the gap of sessions cannot be column '" + gap.name + "' of type " +
                    gap.type.to_string() +
                    ". Use durations, or integers that count ticks of the event time.",
                {{"column", gap.name}});
  }
}

void SessionGaps::check(const RecordBatch& batch, const int64_t* times) {
  if (is_constant()) {
    const TimeRange range = range_of(times, batch.num_rows);
    if (range.highest <= highest_time_ - spec_.gap) return;
    int64_t row = 0;
    while (times[row] <= highest_time_ - spec_.gap) ++row;
    throw_overflow(spec_.gap, row, times[row]);
  }
  const Array& column = batch.columns[static_cast<size_t>(spec_.gap_column)];
  for (int64_t row = 0; column.null_count > 0; ++row) {
    if (!column.is_valid(row)) throw_bad_gap("null", row, times[row]);
  }
  if (gap_type_.is_integer() && !gap_type_.is_signed_integer()) {
    check_column<uint64_t>(column, times);
  } else {
    check_column<int64_t>(column, times);
  }
}

template <typename V>
void SessionGaps::check_column(const Array& gaps, const int64_t* times) {
  const auto rows = static_cast<size_t>(gaps.length);
  scratch_.resize(rows);
  ends_.resize(rows);
  // int64_t and uint64_t may stand for each other's memory.
  const V* values =
      load_values<V>(gaps, nullptr, 0, gaps.length, reinterpret_cast<V*>(scratch_.data()));
  for (size_t row = 0; row < rows; ++row) {
    const __int128 ns = __int128{values[row]} * unit_ns_;
    const __int128 gap = ns / tick_ns_;
    const auto at = static_cast<int64_t>(row);
    if (gap <= 0 || gap * tick_ns_ != ns || gap > INT64_MAX) {
      throw_bad_gap(std::to_string(values[row]), at, times[row]);
    }
    if (times[row] > highest_time_ - static_cast<int64_t>(gap)) {
      throw_overflow(static_cast<int64_t>(gap), at, times[row]);
    }
    ends_[row] = times[row] + static_cast<int64_t>(gap);
  }
}

void SessionGaps::throw_bad_gap(const std::string& gap, int64_t row, int64_t time) const {
  throw Error(ErrorCode::kOperator,
              "the gap of a session is " + gap + " (" + gap_type_.to_string() + ") in column '" +
                  gap_name_ + "', row " + std::to_string(row) + " of the batch, event time " +
                  std::to_string(time) +
                  ". It must be a whole number of ticks of the event time, at least one. Filter "
                  "such rows out before the window, or give them a gap.",
              {{"column", gap_name_}, {"row", row}, {"event_time", time}, {"gap", gap}});
}

void SessionGaps::throw_overflow(int64_t gap, int64_t row, int64_t time) const {
  throw Error(ErrorCode::kOperator,
              "event time " + std::to_string(time) + " in column '" + time_name_ + "', row " +
                  std::to_string(row) +
                  " of the batch, has a session that ends beyond what the "
                  "column's type can hold: its gap is " +
                  std::to_string(gap) + " ticks. Filter such times out before the window.",
              {{"column", time_name_}, {"row", row}, {"event_time", time}, {"gap", gap}});
}

}  // namespace pystream::windows
