#pragma once
// Equal-length columns with a schema: the unit that moves between producers, log and operators.
// Immutable and cheap to copy (one shared_ptr per buffer).

#include <cstdint>
#include <span>
#include <vector>

#include "columns/array.hpp"
#include "columns/schema.hpp"

namespace pystream {

struct RecordBatch {
  SchemaPtr schema;
  int64_t num_rows = 0;
  std::vector<Array> columns;  // one per schema field

  RecordBatch slice(int64_t begin, int64_t length) const;
  RecordBatch take(std::span<const int32_t> indices) const;
};

// All rows in order; all of one schema; at least one batch.
RecordBatch concat(std::span<const RecordBatch> batches);

}  // namespace pystream
