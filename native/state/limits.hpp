#pragma once
// Limits of keyed state.

#include <cstdint>

namespace pystream::state {

// Distinct keys that one dictionary can hold: ids are uint32, 0 is null and 2^32 - 1 means none.
inline constexpr int64_t kMaxKeys = (int64_t{1} << 32) - 2;

// A dictionary of fewer ids is not worth compacting: of up to 65,536 keys, and null, which has an
// id in any case, the order is that of their first records for ever.
inline constexpr int64_t kCompactMinKeys = 65536 + 2;

// "No id."
inline constexpr uint32_t kNoId = UINT32_MAX;

}  // namespace pystream::state
