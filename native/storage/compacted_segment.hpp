#pragma once
// Writing the file that takes the place of a segment when it is compacted: some of its batches,
// whole or in part, at their offsets, and what all of them say of producers.
//
// Owned by one compaction; its thread.
//
// Crash: everything is in a file under a temporary name and on the disk, before it takes the old
// one's name by a rename. Whoever has the old one mapped keeps it.

#include <map>
#include <vector>

#include "storage/batch_encoder.hpp"
#include "storage/file.hpp"
#include "storage/segment.hpp"

namespace pystream::storage {

// Rows that stay, a byte for each; `count` of them.
struct KeptRows {
  std::vector<uint8_t> is_kept;
  int64_t count = 0;
};

class CompactedSegment {
 public:
  // Makes the file; one that a killed compaction left is removed.
  CompactedSegment(const PartitionPlace& place, Segment& old);
  // Removes the file, unless it was named.
  ~CompactedSegment();
  CompactedSegment(const CompactedSegment&) = delete;
  CompactedSegment& operator=(const CompactedSegment&) = delete;

  // A batch as it is.
  void add(const BatchEntry& entry);
  // Some of the rows of a batch, at least one and not all.
  void add(const LogBatch& batch, const KeptRows& rows);

  struct Facts {
    int64_t end_offset = 0;
    int64_t first_compacted_us = 0;
    int64_t tombstones = 0;
    int64_t compared_end_offset = 0;
  };
  // Writes the rest, and syncs the file; returns its size.
  int64_t finish(const Facts& facts);
  // Lets it take the old one's place, durably.
  void take_place();

 private:
  void write(EncodedBatch* batch, const BatchHeader& old);
  void append(const uint8_t* bytes, int64_t length);
  void flush();
  std::vector<CompactedProducer> producers();

  const PartitionPlace& place_;
  Segment& old_;
  const std::string path_;
  File file_;
  bool is_named_ = false;
  SegmentHeader header_;
  std::vector<uint8_t> pending_;  // to be written at position_ - pending_.size()
  int64_t position_;
  uint32_t previous_crc_ = 0;
};

}  // namespace pystream::storage
