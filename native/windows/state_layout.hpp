#pragma once
// What an operator's state is of, in words: its windows, keys and aggregates. State can be restored
// where the words are the same; they stand in the snapshot, and in the error where they are not.

#include <span>
#include <string>

#include "columns/schema.hpp"
#include "windows/session_spec.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

// "hopping window of 10 by 5"
std::string describe(const WindowSpec& window);
std::string describe(const SessionSpec& session, const Schema& input);
// ", every 3 records, discarding"; empty for one that is_plain().
std::string describe(const TriggerSpec& trigger);

// " in ts: timestamp[ms] by user: string; count_all, sum(amount: float64)"; -1: without event
// time.
std::string describe_columns(const Schema& input, int event_time_column,
                             std::span<const int> key_columns,
                             std::span<const AggregateSpec> aggregates);

}  // namespace pystream::windows
