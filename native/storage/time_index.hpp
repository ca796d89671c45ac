#pragma once
// When the records of one segment are: for each batch, the largest time up to and with it, of the
// record timestamps, of the append times, and of each column that can hold one (timestamp, date32,
// int64). Running maxima rise, so that the first batch that reaches a time is found by halving.
//
//   file := TimeIndexHeader (64 bytes) · TimeIndexColumn[column_count]
//           · int64 base_offset[batch_count] · int64 running_maximum[batch_count] per column
//
// Of a sealed segment it is kept in a file beside it, "<base offset>.index". The file is a copy of
// what the segment says: one that is missing, torn, or of another segment is made again, so it is
// never synced. docs/formats/log_directory.md says the same.
//
// Owner: TimeLookup; one thread at a time.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/segment.hpp"

namespace pystream::storage {

inline constexpr uint32_t kTimeIndexMagic = 0x49545350;  // "PSTI"
inline constexpr uint16_t kTimeIndexVersion = 1;
// Stands for the append time of the batch's header; nothing is stored under this id in a batch.
inline constexpr uint16_t kAppendTimes = 0xFFF0;
// Below every time that is looked for.
inline constexpr int64_t kNoTime = INT64_MIN;

struct TimeIndexHeader {
  uint32_t magic;
  uint32_t crc;  // CRC32C from the version on to the end of the columns
  uint16_t version;
  uint16_t reserved0;
  uint32_t column_count;
  uint64_t salt;  // of the segment, which another file in its place does not have
  int64_t base_offset;
  int64_t end_offset;  // the first that does not belong to the segment
  uint32_t batch_count;
  uint32_t body_crc;  // CRC32C of what follows the columns
  uint64_t reserved1[2];
};
static_assert(sizeof(TimeIndexHeader) == 64);

struct TimeIndexColumn {
  uint16_t id;
  uint16_t reserved0;
  uint32_t reserved1;
  int64_t maximum;
};
static_assert(sizeof(TimeIndexColumn) == 16);

class TimeIndex {
 public:
  // What a whole segment reaches, by column id.
  using Maxima = std::map<uint16_t, int64_t>;

  // Adds the batches that the segment's index has got since; up to `limit`.
  void extend(Segment& segment, const WalkLimit& limit);
  // Base offset of the first batch with a value of at least `value`; nullopt when there is none.
  std::optional<int64_t> find(uint16_t column, int64_t value) const;
  Maxima maxima() const;
  // Whether some bytes of the segment could not be read: then it is not kept.
  bool has_damage() const { return has_damage_; }

  // --- The file of a sealed segment ---

  static std::string path_of(const PartitionPlace& place, int64_t base_offset);
  // Nothing when there is no sound file for this segment.
  static std::optional<Maxima> load_maxima(const PartitionPlace& place, int64_t base_offset,
                                           uint64_t salt, int64_t end_offset);
  static std::optional<TimeIndex> load(const PartitionPlace& place, int64_t base_offset,
                                       uint64_t salt, int64_t end_offset);
  // Processes that do so at the same time write the same bytes. False when the system refuses.
  bool store(const PartitionPlace& place, int64_t base_offset, uint64_t salt,
             int64_t end_offset) const;

 private:
  std::vector<int64_t> base_offsets_;
  std::map<uint16_t, std::vector<int64_t>> running_;  // each may be shorter: then it goes on as is
  int64_t entries_ = 0;                               // of the segment's index that were seen
  bool has_damage_ = false;
};

}  // namespace pystream::storage
