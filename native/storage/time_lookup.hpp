#pragma once
// Finds records of a partition by time: halving over its sealed segments, then over the batches of
// one. What each segment reaches is read once per process, from its index file, or from the heads
// of its batches where there is none yet; then the file is made.
//
// Owner: the partition's state. Any thread; one at a time.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/partition_state.hpp"
#include "storage/time_index.hpp"

namespace pystream::storage {

class TimeLookup {
 public:
  explicit TimeLookup(Partition::State& partition) : partition_(partition) {}

  // A part of the log in which a record may be: batches from `offset` on, up to `end`.
  struct Part {
    int64_t offset = 0;
    int64_t end = 0;
  };
  // Where the first record at or behind `log_start` with a value of at least `value` may be: in no
  // batch before the parts, which are in order. Throws as PartitionReader does, but for damage.
  std::vector<Part> find(uint16_t column, int64_t value, int64_t log_start);
  // The segments from the log start on.
  std::vector<SegmentFacts> segment_facts();

 private:
  // One that takes no more batches.
  struct Sealed {
    int64_t base_offset = 0;
    int64_t end_offset = 0;
    uint64_t salt = 0;
    TimeIndex::Maxima maxima;
  };

  void refresh(const PublishedState& published, int64_t log_start);
  Sealed look_at(int64_t base_offset, int64_t end_offset);
  TimeIndex index_of(const Sealed& sealed);
  void extend_active(const PublishedState& published);
  // The largest value of the sealed segments up to and with each, but for the first.
  const std::vector<int64_t>& running_of(uint16_t column);

  Partition::State& partition_;
  std::mutex mutex_;
  uint64_t changes_ = 0;        // of segments, when the next were read
  std::vector<Sealed> sealed_;  // from the one that holds the log start offset on
  std::map<uint16_t, std::vector<int64_t>> running_;
  std::optional<TimeIndex> loaded_;  // of the sealed segment that was looked into last
  int64_t loaded_base_ = kNoSegment;
  TimeIndex active_;
  int64_t active_base_ = kNoSegment;
};

}  // namespace pystream::storage
