#pragma once
// The k greatest, or least, values of each slot, best first: at most k are held, in a heap whose
// root is the worst of them. NaN is behind all numbers; zeros are 0.0. Equal values are each one.
//
// Content: per slot the values, in no order.

#include "windows/side_state.hpp"

namespace pystream::windows {

// For kTopK and kBottomK.
std::unique_ptr<SideState> make_best_values(const SideLayout& side, const DataType& type);

}  // namespace pystream::windows
