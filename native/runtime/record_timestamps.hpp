#pragma once
// Record timestamps of the log (int64 microseconds) from a column of event times.

#include <string>

#include "columns/array.hpp"

namespace pystream::runtime {

// From timestamp (any unit; finer ones are rounded down), date32 (midnight UTC) or int64, which
// counts in `int64_unit`; `offset` ticks are added first. A time that microseconds cannot hold
// becomes the nearest that they can: one wild event time must not end a job at each of its starts,
// and the columns keep it as it is. Throws kOperator on a null, naming `column` and row.
Array record_timestamps(const Array& times, int64_t offset, const std::string& column,
                        TimeUnit int64_unit = TimeUnit::kMilli);

}  // namespace pystream::runtime
