#pragma once
// What a session aggregation is asked for. Semantics: docs/semantics.md (Flink's, rule by rule).

#include <cstdint>
#include <vector>

#include "windows/window_aggregation.hpp"

namespace pystream::windows {

// A record at t opens [t, t + gap); what touches is one session. Times are in ticks of the
// event-time column.
struct SessionSpec {
  int64_t gap = 0;      // > 0; of no meaning with a gap column
  int gap_column = -1;  // integers: ticks; or durations
  // How long after its end a session that has fired still takes records.
  int64_t allowed_lateness = 0;
  TimeUnit int64_unit = TimeUnit::kMilli;  // what an event time of int64 counts
};

struct SessionAggregationSpec {
  SessionSpec session;
  std::vector<int> key_columns;  // any number, also none; any type
  int event_time_column = 0;     // timestamp, int64 or date32; no nulls
  std::vector<AggregateSpec> aggregates;
};

}  // namespace pystream::windows
