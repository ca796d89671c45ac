#pragma once
// Record timestamps of the log (int64 microseconds) from a column of event times.

#include <string>

#include "columns/array.hpp"

namespace pystream::runtime {

// From timestamp (any unit; finer ones are rounded down), date32 (midnight UTC) or int64, which
// counts milliseconds as event times do; `offset` ticks are added first. Throws kOperator on a
// null or a time that microseconds cannot hold, naming `column` and row.
Array record_timestamps(const Array& times, int64_t offset, const std::string& column);

}  // namespace pystream::runtime
