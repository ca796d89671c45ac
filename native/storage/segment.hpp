#pragma once
// One segment file: its header and schema, growth, one read-only mapping at full size, and the
// index of its batches as far as this process has walked them.
//
// Owner: shared by the partition, its readers, and every batch that views its memory; the mapping
// goes with the last of them, also when the file was unlinked long before. Any thread may use it;
// growing and writing happen under the partition's lock.
//
// Crash: a segment gets its name only when its first batch is written, so a half-made one is never
// seen. Bytes behind the published end mean nothing.

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "columns/schema.hpp"
#include "storage/batch_index.hpp"
#include "storage/file.hpp"
#include "storage/format.hpp"
#include "storage/log_batch.hpp"
#include "storage/segment_header.hpp"

namespace pystream::storage {

inline constexpr int64_t kPrefaultGranuleBytes = int64_t{1} << 20;
inline constexpr int64_t kFirstAllocationBytes = int64_t{64} << 10;
inline constexpr int64_t kLargestAllocationStep = int64_t{16} << 20;
// Zeros behind the last batch, so that a walk ends there.
inline constexpr int64_t kTerminatorBytes = static_cast<int64_t>(sizeof(BatchHeader));

// Where a partition lives. Constant, shared by all that names it in errors.
struct PartitionPlace {
  std::string topic;
  uint8_t topic_id[16] = {};
  int32_t partition = 0;
  std::string directory;
  std::shared_ptr<FileLayer> files;

  std::string name() const { return topic + "-" + std::to_string(partition); }
  std::string segment_path(int64_t base_offset) const {
    return directory + "/" + segment_name(base_offset);
  }
};

// A segment that a compaction is writing.
inline constexpr const char* kCompactionName = "compaction.new";

inline std::string control_path(const PartitionPlace& place) {
  return place.directory + "/control";
}
inline std::string lock_path(const PartitionPlace& place) { return place.directory + "/lock"; }

// How far a walk may go.
struct WalkLimit {
  int64_t position = 0;  // behind the last published batch; for a sealed segment, the file's size
  int64_t offset = 0;    // the first offset that does not belong to the segment
};

class Segment : public std::enable_shared_from_this<Segment> {
 public:
  // Opens the published segment with that base offset. Throws kCorruptRecord when the file is
  // missing or is not that segment, and kLog when it is of a format that is not read.
  static std::shared_ptr<Segment> open(std::shared_ptr<const PartitionPlace> place,
                                       int64_t base_offset, bool writable);
  // The same under any name, without asking whose it is; `topic` and `partition` of the place are
  // taken from its header.
  static std::shared_ptr<Segment> open_file(const std::shared_ptr<FileLayer>& files,
                                            const std::string& path);
  // Makes the file under a temporary name. `header` needs all but what encode_segment_head fills.
  static std::shared_ptr<Segment> create(std::shared_ptr<const PartitionPlace> place,
                                         SegmentHeader header, SchemaPtr schema);

  const SegmentHeader& header() const { return header_; }
  int64_t base_offset() const { return header_.base_offset; }
  const SchemaPtr& schema() const { return schema_; }
  void set_schema(SchemaPtr schema) { schema_ = std::move(schema); }  // before it is shared
  const std::string& path() const { return segment_place_.path; }
  // Whether records between its batches, before and behind them, may have been removed.
  bool is_compacted() const { return (header_.incompatible_features & kFeatureCompacted) != 0; }
  // Of a compacted segment. Throws kCorruptRecord.
  std::vector<CompactedProducer> producers();

  // --- Writing, under the partition's lock ---

  // True when a batch and its terminator still fit behind `position`.
  bool fits(int64_t position, int64_t batch_bytes) const {
    return position + batch_bytes + kTerminatorBytes <= header_.max_bytes;
  }
  // Reserves blocks so that the file reaches `end`. On failure (ENOSPC) nothing has changed.
  void grow(int64_t end);
  void write(std::span<iovec> parts, int64_t position) { file()->write(parts, position); }
  // Writes zeros where no batch is or was ever published. False for a file that may not be written,
  // being also a backup's.
  bool write_zeros(int64_t begin, int64_t end);
  // Zeroes the header at `position`, where no published batch may be.
  void write_terminator(int64_t position);
  void sync() { file()->sync_data(); }
  // False when the file was removed, and goes with its descriptors.
  bool has_name() { return file()->has_name(); }
  // Gives a created segment its real name: from now on it can be found.
  void link_name();
  // Undoes create() when the first append failed; never throws.
  void discard() noexcept;

  // --- Reading, any thread ---

  const BatchIndex& index() const { return index_; }
  // Walks on from the last indexed batch, until the index has `count` more entries or reaches the
  // limit. Damage becomes an entry of its own. True when anything was added.
  bool extend_index(const WalkLimit& limit, int64_t count);
  // The batch of an entry that is not corrupt.
  LogBatch batch(const BatchEntry& entry);
  // Begins to bring the header of an entry's batch into the caches.
  void prefetch(const BatchEntry& entry) const;
  // The mapped bytes; `end` is at most the file's size.
  std::span<const uint8_t> bytes(int64_t begin, int64_t end);
  // As stored; of an entry of the index.
  ParsedHeader parsed(const BatchEntry& entry);
  int64_t file_size();  // at most header().max_bytes
  // `end`, or less where the file ends before.
  int64_t available(int64_t end);
  // Makes the bytes safe to touch: an I/O error is a kStorage Error here instead of SIGBUS later.
  void prefault(const uint8_t* data, size_t length);
  // Closes the descriptor of a sealed segment; it is opened again when it is needed.
  void release_file();
  // Whether its name is gone or belongs to another file: what is mapped is all that is left of it.
  bool is_removed();
  int64_t last_size() const { return size_.load(std::memory_order_relaxed); }
  // Parses the header at `position`, of a batch that must end at or before `limit`. Throws kLog for
  // a sound header of another format.
  HeaderStatus parse_at(int64_t position, int64_t limit, ParsedHeader* out);

 private:
  Segment(std::shared_ptr<const PartitionPlace> place, std::string path)
      : place_(std::move(place)),
        segment_place_{place_->topic, place_->partition, std::move(path)} {}

  void read_head();
  std::shared_ptr<const File> file();
  void own_file(int64_t end);
  int64_t usable_size(const File& file) const;
  void map();
  void require_size(int64_t end);
  void prefault_range(int64_t begin, int64_t end, bool whole_granules);
  void populate(int64_t begin, int64_t end);
  [[noreturn]] void throw_unreadable(int64_t begin, int64_t end, int error) const;
  void read_through(int64_t begin, int64_t end);
  void add_damage(int64_t end_offset, int64_t end_position);
  bool resync(const WalkLimit& limit, ParsedHeader* out, int64_t* position);
  // The part of a walk's limit that is in the file.
  WalkLimit own_limit(const WalkLimit& limit) const;

  // Constant once shared.
  std::shared_ptr<const PartitionPlace> place_;
  SegmentPlace segment_place_;  // with the temporary name until link_name()
  SegmentHeader header_{};
  SchemaPtr schema_;

  std::atomic<int64_t> size_{0};  // of the file, as last seen; files only grow

  std::mutex file_mutex_;       // guards the two below
  std::shared_ptr<File> file_;  // null after release_file()
  FileIdentity identity_;       // of the file, once it was released
  Mapping mapping_;
  std::atomic<uint8_t*> data_{nullptr};
  std::vector<std::atomic<uint64_t>> granules_;  // a bit per granule that was populated
  std::atomic<int64_t> tail_until_{0};  // populated up to here in the last, partial granule

  std::mutex walk_mutex_;
  BatchIndex index_;
  int64_t walk_position_ = 0;
  int64_t walk_offset_ = 0;
};

}  // namespace pystream::storage
