#pragma once
// The segments of one partition: which there are, from the directory, and those that this process
// has open. Base offsets only ever get larger, so a listing is right up to its last one.
//
// Owned by the partition's state; any thread.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/segment.hpp"

namespace pystream::storage {

class SegmentSet {
 public:
  SegmentSet(std::shared_ptr<const PartitionPlace> place, bool writable)
      : place_(std::move(place)), writable_(writable) {}

  // The segment with that base offset; opens it on first use. Throws kCorruptRecord, kStorage.
  std::shared_ptr<Segment> get(int64_t base_offset);
  // As get(); null when the segment is missing or its header is damaged.
  std::shared_ptr<Segment> try_get(int64_t base_offset);
  // Enters the segment just made by this process.
  void add(std::shared_ptr<Segment> segment);

  // Among the segments up to `active`, the active segment's base offset, which must exist:
  // the last with base offset <= offset; nullopt when all are above.
  std::optional<int64_t> at_or_below(int64_t offset, int64_t active);
  // The first with a base offset above `base_offset`; nullopt when there is none.
  std::optional<int64_t> after(int64_t base_offset, int64_t active);
  // Forgets the open segments; those in use elsewhere live on there.
  void clear();
  // Base offsets of all segment files now in the directory, ascending.
  std::vector<int64_t> list();
  // What ControlPage::segment_changes says now: when it has changed, what is open and listed may be
  // of segments that were removed, and is forgotten.
  void follow(uint64_t changes);
  // Bytes of files that were removed, and that somebody in this process still has mapped.
  int64_t pinned_bytes();

 private:
  // More open segments than this are closed again when nothing uses them.
  static constexpr size_t kMaxOpenSegments = 1024;

  void refresh(int64_t active);
  SchemaPtr shared_schema(const SchemaPtr& schema);
  void insert(std::shared_ptr<Segment> segment);

  const std::shared_ptr<const PartitionPlace> place_;
  const bool writable_;
  std::mutex mutex_;
  std::vector<int64_t> base_offsets_;
  std::map<int64_t, std::shared_ptr<Segment>> open_;
  std::atomic<uint64_t> changes_{UINT64_MAX};  // not asked yet
  // Forgotten while they may be in use.
  std::vector<std::weak_ptr<Segment>> forgotten_;
  SchemaPtr last_schema_;  // equal schemas share one object, so that readers compare pointers
};

}  // namespace pystream::storage
