#pragma once
// What Python holds of a reader: readers do not keep their partitions alive, so their handles do.

#include <memory>

#include "storage/log.hpp"

namespace pystream::python {

struct ReaderHandle {
  std::shared_ptr<storage::Partition> partition;
  std::unique_ptr<storage::PartitionReader> reader;
};

}  // namespace pystream::python
