#pragma once
// The two ways of listing the ones of a bitmap, for tests to hold one against the other.

#include <cstdint>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

// Rows of spare room that a listing may write after its last row.
inline constexpr int64_t kSelectSlack = 16;

// Both write the ascending rows that are true and valid, and return the end of what they wrote.
int32_t* list_rows_portable(const Array& condition, int32_t* out);
// Only where instruction_set() is kAvx512.
int32_t* list_rows_avx512(const Array& condition, int32_t* out);

}  // namespace pystream::expressions::detail
