#pragma once
// Reading a segment without believing what was published: for recovery.

#include <cstdint>
#include <functional>

#include "storage/segment.hpp"

namespace pystream::storage {

// Calls `visit` for the header of every batch that can be found, stepping over damage, up to the
// end of the file.
void visit_headers(Segment& segment, const std::function<void(const BatchHeader&)>& visit);

struct ScanResult {
  int64_t end_position = 0;  // behind the last batch that counts
  int64_t end_offset = 0;
  int64_t last_batch_position = 0;  // 0: none
  uint32_t last_header_crc = 0;
  uint64_t last_append_sequence = 0;
  int64_t lost_records = 0;    // offsets below `durable_offset` that cannot be read
  bool has_torn_tail = false;  // bytes of an incomplete batch follow
};

// Finds where the segment ends. Damage below `durable_offset` is stepped over, because what follows
// it was promised to last; the first batch above it that is incomplete, or does not continue the
// one before, ends the segment. `limit_offset`: the first offset of the next segment.
ScanResult scan_segment(Segment& segment, int64_t durable_offset, int64_t limit_offset);

}  // namespace pystream::storage
