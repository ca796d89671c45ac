#pragma once
// The value of the row that is first or last by something: event time, or another column.
//
//   kFirst, kLast    the least and the greatest event time; of rows with the same, the one that
//                    arrived first, and last
//   kArgMin, kArgMax the least and the greatest `by`; of rows with the same, the one that arrived
//                    first. A NaN comes behind everything else in both.
//
// Which row wins is decided by what it is and by its number in the order of arrival, which no two
// rows share: never by the order in which rows are added or slots merged.
//
// Content: per slot the key, the arrival and the value.

#include "windows/side_state.hpp"

namespace pystream::windows {

std::unique_ptr<SideState> make_ordered_values(const SideLayout& side, const DataType& type);

}  // namespace pystream::windows
