#pragma once
// A batch as it lies in a file.

#include <memory>

#include "columns/record_batch.hpp"
#include "storage/log_batch.hpp"

namespace pystream::gate {

class Stored {
 public:
  explicit Stored(const RecordBatch& batch);
  RecordBatch read(storage::Verify verify = storage::Verify::kFirst) const;

 private:
  SchemaPtr schema_;
  std::shared_ptr<MutableBuffer> bytes_;
  std::shared_ptr<storage::SegmentPlace> place_;
};

}  // namespace pystream::gate
