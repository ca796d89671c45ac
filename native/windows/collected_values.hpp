#pragma once
// All values of each slot, as a list in the order of event time, and of arrival where that is one.
//
// Which order values come in or slots are merged in makes no difference: a value is kept with its
// time and its number in the order of arrival, and lists are sorted when they are shown.
//
// Content: per slot the times, arrivals and values.

#include "windows/side_state.hpp"

namespace pystream::windows {

std::unique_ptr<SideState> make_collected_values(const DataType& type);

}  // namespace pystream::windows
