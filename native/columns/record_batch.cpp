#include "columns/record_batch.hpp"

#include <cassert>

namespace pystream {

RecordBatch RecordBatch::slice(int64_t begin, int64_t length) const {
  assert(begin >= 0 && length >= 0 && begin + length <= num_rows);
  RecordBatch out{schema, length, {}};
  out.columns.reserve(columns.size());
  for (const Array& column : columns) out.columns.push_back(pystream::slice(column, begin, length));
  return out;
}

RecordBatch RecordBatch::take(std::span<const int32_t> indices) const {
  RecordBatch out{schema, static_cast<int64_t>(indices.size()), {}};
  out.columns.reserve(columns.size());
  for (const Array& column : columns) out.columns.push_back(pystream::take(column, indices));
  return out;
}

RecordBatch concat(std::span<const RecordBatch> batches) {
  assert(!batches.empty());
  if (batches.size() == 1) return batches[0];
  RecordBatch out{batches[0].schema, 0, {}};
  for (const RecordBatch& batch : batches) out.num_rows += batch.num_rows;
  std::vector<Array> parts(batches.size());
  for (size_t c = 0; c < batches[0].columns.size(); ++c) {
    for (size_t b = 0; b < batches.size(); ++b) parts[b] = batches[b].columns[c];
    out.columns.push_back(concat(std::span<const Array>(parts)));
  }
  return out;
}

}  // namespace pystream
