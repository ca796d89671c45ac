#pragma once
// How large the rows of a batch are once stored, and where a long run of rows is cut into batches.

#include <cstdint>

#include "columns/record_batch.hpp"

namespace pystream::storage {

struct BatchLimits {
  int64_t max_batch_rows = 65536;
  int64_t max_batch_bytes = int64_t{16} << 20;   // before compression
  int64_t max_record_bytes = int64_t{16} << 20;  // one record: values, headers, timestamp
};

// Throws kRecordTooLarge naming the row, its size and the limit. `headers` may be null.
void check_record_sizes(const RecordBatch& batch, const Array* headers, const BatchLimits& limits);

// Cuts rows into runs that keep within the limits. Keeps references to what it is given.
class BatchCutter {
 public:
  // Columns whose dictionary alone would fill half a batch must have been decoded before.
  BatchCutter(const RecordBatch& batch, const Array* headers, const BatchLimits& limits);

  // The end of the run that begins at row `begin`: at least one row further. A single row over the
  // limit is a run of its own.
  int64_t next_end(int64_t begin) const;

 private:
  int64_t bytes_between(int64_t begin, int64_t end) const;

  const RecordBatch& batch_;
  const Array* headers_;
  BatchLimits limits_;
  int64_t row_bytes_ = 8;         // of what each row takes; its timestamp to begin with
  int64_t dictionary_bytes_ = 0;  // repeated in every run
};

// `batch` with columns decoded whose dictionary would fill half a batch.
RecordBatch without_large_dictionaries(const RecordBatch& batch, const BatchLimits& limits);

}  // namespace pystream::storage
