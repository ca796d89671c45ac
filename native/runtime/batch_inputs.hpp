#pragma once
// Where a batch source can read from.

#include <functional>
#include <vector>

#include "columns/arrow_c.hpp"
#include "columns/record_batch.hpp"

namespace pystream::runtime {

// Batches in memory, one after the other.
std::function<bool(RecordBatch*)> read_batches(std::vector<RecordBatch> batches);

// An Arrow stream, pulled batch by batch and cast to `target` (see cast_to). Takes ownership of the
// stream and marks the source released. Throws kSchema when the stream gives no schema or its
// columns do not fit.
std::function<bool(RecordBatch*)> read_stream(ArrowArrayStream* stream, SchemaPtr target);

}  // namespace pystream::runtime
