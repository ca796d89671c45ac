#pragma once
// Adapting foreign batches to a topic's schema, with exact casts only.

#include <string>

#include "columns/record_batch.hpp"

namespace pystream {

// The columns of `batch`, which may stand in any order, as `target` wants them:
//   integer -> any integer or float type that holds each value exactly
//   float32 -> float64
//   timestamp, duration -> other units of the same, without overflow or remainder; a timestamp
//     without a zone counts as UTC, so zones only change how it is shown
//   integer -> timestamp, duration (in the target's unit)
//   decimal128 -> more digits of the same scale
//   string <-> dictionary<string>; string -> binary
//   list -> list of what its elements become
// A nullable column that is missing is null in every row.
// Throws kSchema with facts topic (when not empty), column, expected, got, and row where a value is
// at fault: a missing column that is not nullable, an extra or repeated one, another type, a value
// that does not fit, a null in a column that is not nullable. Columns that already fit are shared,
// not copied.
RecordBatch cast_to(const RecordBatch& batch, const SchemaPtr& target, const std::string& topic);

}  // namespace pystream
