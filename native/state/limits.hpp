#pragma once
// Limits of keyed state.

#include <cstdint>

namespace pystream::state {

// Distinct keys that one dictionary can hold: ids are uint32, 0 is null and 2^32 - 1 means none.
inline constexpr int64_t kMaxKeys = (int64_t{1} << 32) - 2;

// A dictionary with fewer keys is not worth compacting.
inline constexpr int64_t kCompactMinKeys = 65536;

// "No id."
inline constexpr uint32_t kNoId = UINT32_MAX;

}  // namespace pystream::state
