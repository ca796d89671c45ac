// The next append sequence of a log whose order file is lost: from what its partitions hold.

#include <algorithm>

#include "storage/partition_state.hpp"
#include "storage/segment_scan.hpp"

namespace pystream::storage {
namespace {

// One above the largest sequence in the partition's last readable segment that holds a batch:
// sequences rise along a partition.
uint64_t next_sequence_of(std::shared_ptr<const PartitionPlace> place) {
  SegmentSet segments(std::move(place), false);
  const std::vector<int64_t> bases = segments.list();
  uint64_t next = 1;
  for (auto base = bases.rbegin(); base != bases.rend() && next == 1; ++base) {
    const auto segment = segments.try_get(*base);
    if (!segment) continue;
    if (segment->is_compacted()) {
      next = std::max(next, segment->header().last_append_sequence + 1);
    }
    visit_headers(*segment, [&next](const BatchHeader& header) {
      next = std::max(next, header.append_sequence + 1);
    });
  }
  return next;
}

}  // namespace

uint64_t find_next_sequence(const std::shared_ptr<FileLayer>& files, const std::string& directory) {
  uint64_t next = 1;
  visit_places(files, directory, [&next](std::shared_ptr<const PartitionPlace> place) {
    next = std::max(next, next_sequence_of(std::move(place)));
    return true;
  });
  return next;
}

}  // namespace pystream::storage
