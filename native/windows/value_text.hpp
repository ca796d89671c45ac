#pragma once
// A value as it is shown in an error message.

#include <cstdint>
#include <string>

#include "columns/array.hpp"

namespace pystream::windows {

// Value i of a plain array: 12, 1.5, 'ann', true, null. Times are shown as their ticks, binary and
// decimals in hexadecimal. Long text is cut.
std::string value_text(const Array& array, int64_t i);

}  // namespace pystream::windows
