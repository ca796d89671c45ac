#pragma once
// Reads several partitions as one: their batches in the order in which they were appended to the
// log, as far as they are there.

#include <cstddef>
#include <utility>
#include <vector>

#include "storage/log.hpp"

namespace pystream::storage {

// One thread at a time.
class Fetcher {
 public:
  struct Fetched {
    size_t reader;  // index of the one that it comes from
    LogBatch batch;
  };

  // The readers must outlive it and be moved by nobody else: they are ahead of what is fetched.
  explicit Fetcher(std::vector<PartitionReader*> readers);

  // The next batches, at most `max_batches`; none at the end of what is published. What a reader
  // throws ends a fetch that has batches; the next fetch throws it, until a reader can go on.
  std::vector<Fetched> fetch(size_t max_batches);

 private:
  bool look_at(size_t headless);
  Fetched take_first();

  std::vector<PartitionReader*> readers_;
  std::vector<Fetched> heads_;    // a heap, smallest append sequence on top
  std::vector<size_t> headless_;  // readers that had nothing more, or were not looked at
};

}  // namespace pystream::storage
