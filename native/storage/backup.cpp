// Partition::backup: a copy of a partition as it was at one moment, made while others append.
//
// Published bytes never change, so no lock is held. Segments that are sealed become hard links; the
// last one of the backup is always a copy, because recovery may write a terminator behind its end
// (Segment::own_file guards the others). The control page of the backup says that it belongs to no
// boot and to no file, so that the first open recovers it: it gets an incarnation of its own and
// goes on in a new segment, at the offset where the original's log ended.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

using State = Partition::State;

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kWholeFile = -1;

// How far the last segment of the backup is copied.
struct CutEnd {
  int64_t base_offset = kNoSegment;  // of that segment
  int64_t position = 0;
  int64_t data_end_offset = 0;
  int64_t log_end_offset = 0;
  uint64_t salt = 0;         // of that segment; 0: not looked at
  bool is_outdated = false;  // by a compaction: nobody knows
};

// Whether a compaction that began behind the cut may have removed records of this file, for ones
// that are not in the backup. `salt`, unless it is 0, is that of the file that was looked at
// before.
bool is_outdated(const State& state, const CutEnd& end, const std::string& copy, uint64_t salt) {
  const File file = File::open(state.place->files, copy, O_RDONLY);
  SegmentHeader header;
  std::vector<uint8_t> bytes(sizeof(header));
  if (!file.read(bytes, 0)) return false;  // damaged, and kept as it is
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kSegmentMagic) return false;
  const bool is_compacted = (header.incompatible_features & kFeatureCompacted) != 0;
  const bool is_other = salt != 0 && header.salt != salt;
  return is_other || (is_compacted && header.compared_end_offset > end.log_end_offset);
}

// The end of what a segment has below the cut; nullopt when that is nothing. `next_base` is that of
// the segment behind it, or the end of the data.
std::optional<CutEnd> end_in_segment(State& state, int64_t base, int64_t next_base,
                                     const PublishedState& published, uint64_t cut) {
  const auto segment = state.segments->try_get(base);
  // A file with a damaged header may hold records from below the cut, and is kept as it is.
  if (!segment) return CutEnd{base, kWholeFile, next_base, next_base};
  // What is gone from it may have been behind the cut, or before.
  if (segment->is_compacted() && segment->header().last_append_sequence >= cut) {
    CutEnd outdated;
    outdated.is_outdated = true;
    return outdated;
  }
  const WalkLimit limit = state.walk_limit(*segment, published);
  while (segment->extend_index(limit, INT64_MAX)) {
  }
  const BatchIndex& index = segment->index();
  CutEnd end{base, limit.position, limit.offset, limit.offset};
  int64_t kept = index.count();
  for (int64_t i = index.count(); i-- > 0;) {
    const BatchEntry& entry = index.at(i);
    if (entry.is_corrupt) continue;  // belongs to what follows it
    if (segment->parsed(entry).header.append_sequence < cut) break;
    kept = i;
    end = {base, entry.position, entry.base_offset, entry.base_offset};
  }
  if (kept == 0 && index.count() > 0) return std::nullopt;
  end.salt = segment->header().salt;
  return end;
}

// The segments are looked at from the last one back: the cut is a moment ago.
CutEnd find_end(State& state, const std::vector<int64_t>& bases, const PublishedState& published,
                uint64_t cut) {
  if (published.segment_base_offset == kNoSegment || published.last_append_sequence < cut) {
    return {published.segment_base_offset, published.end_position, published.data_end_offset,
            published.log_end_offset};
  }
  int64_t next_base = published.data_end_offset;
  for (size_t i = bases.size(); i-- > 0;) {
    if (const auto end = end_in_segment(state, bases[i], next_base, published, cut)) return *end;
    next_base = bases[i];
  }
  return {};
}

// The whole file, as a link where that is possible and `may_link`.
// False when retention has just removed it.
bool keep_segment(State& state, int64_t base, const std::string& directory, bool may_link,
                  BackupResult* result) {
  FileLayer& files = *state.place->files;
  const std::string from = state.place->segment_path(base);
  const std::string to = directory + "/" + segment_name(base);
  const File source = File::open_if_exists(state.place->files, from, O_RDONLY);
  if (!source.is_open() && base < state.control.log_start()) {
    return false;
  }
  if (!source.is_open()) throw_storage_error("cannot open", from, ENOENT);
  const int64_t size = source.size();
  if (may_link) {
    const int linked = files.link(from, to);
    if (linked == 0) {
      result->linked_bytes += size;
      return true;
    }
    const bool is_unable =
        linked == -EXDEV || linked == -EPERM || linked == -EMLINK || linked == -EOPNOTSUPP;
    if (!is_unable) checked(linked, "cannot link", to);
  }
  const File target = File::open(state.place->files, to, O_RDWR | O_CREAT | O_EXCL);
  target.allocate(0, size);
  target.copy_from(source, size);
  target.sync_data();
  result->copied_bytes += size;
  return true;
}

// The first `end` bytes of a segment, with zeros behind.
void copy_segment(State& state, const CutEnd& end, const std::string& directory,
                  BackupResult* result) {
  const File source =
      File::open(state.place->files, state.place->segment_path(end.base_offset), O_RDONLY);
  const int64_t length = end.position == kWholeFile ? source.size() : end.position;
  const File target =
      File::open(state.place->files, directory + "/" + segment_name(end.base_offset),
                 O_RDWR | O_CREAT | O_EXCL);
  target.allocate(0, (length + kTerminatorBytes + kPageBytes - 1) / kPageBytes * kPageBytes);
  target.copy_from(source, length);
  target.sync_data();
  result->copied_bytes += length;
}

void write_control(State& state, const CutEnd& end, const std::string& directory) {
  const File file =
      File::open(state.place->files, directory + "/control", O_RDWR | O_CREAT | O_EXCL);
  file.allocate(0, kControlPageBytes);
  {
    ControlPage page(file, true);
    ControlIdentity identity{};
    identity.version = kFormatVersion;
    std::memcpy(identity.topic_id, state.place->topic_id, sizeof(identity.topic_id));
    identity.partition = state.place->partition;
    identity.created_us = wall_clock_us();
    PublishedState published;
    published.segment_base_offset = end.base_offset;
    published.end_position = end.position;
    published.log_end_offset = end.log_end_offset;
    published.data_end_offset = end.data_end_offset;
    published.must_roll = true;
    published.incarnation = state.incarnation;
    page.initialize(identity, published);
    const int64_t log_start = state.unfinished_log_start().value_or(state.control.log_start());
    page.set_log_start(std::min(log_start, end.log_end_offset));
    page.write_log_start(file, std::min(log_start, end.log_end_offset));
    page.words().durable_offset.store(end.data_end_offset);
    page.words().interval_end_offset.store(end.data_end_offset);
    // All that was given out before the cut; the backup goes on from there. Syncs the page, too.
    page.write_lease(file, end.log_end_offset, published);
  }
}

}  // namespace

BackupResult Partition::backup(const std::string& directory, uint64_t cut) {
  State& state = *state_;
  state.log->require_usable();
  const PublishedState published = state.read_published();
  // A link is only as durable as the original.
  const bool may_link = state.is_writable() && state.control.words().sync_failed.load() == 0;
  if (may_link) state.sync();
  std::vector<int64_t> bases = state.listed_segments();
  // The ones behind the active segment are not published.
  std::erase_if(bases, [&](int64_t base) { return base > published.segment_base_offset; });
  const CutEnd end = find_end(state, bases, published, cut);
  BackupResult result;
  result.log_end_offset = end.log_end_offset;
  result.is_outdated = end.is_outdated;
  if (result.is_outdated) return result;
  // From the last one back. A compaction, which goes the other way, takes a tombstone or a marker
  // only after the records that it is about: so what is in the backup has both, or neither.
  const auto look = [&](int64_t base, uint64_t salt) {
    const std::string copy = directory + "/" + segment_name(base);
    if (is_outdated(state, end, copy, salt)) result.is_outdated = true;
  };
  if (end.base_offset != kNoSegment) {
    copy_segment(state, end, directory, &result);
    look(end.base_offset, end.salt);
  }
  for (auto base = bases.rbegin(); base != bases.rend() && !result.is_outdated; ++base) {
    if (*base >= end.base_offset) continue;
    if (keep_segment(state, *base, directory, may_link, &result)) look(*base, 0);
  }
  if (result.is_outdated) return result;
  write_control(state, end, directory);
  checked(state.place->files->sync_directory(directory), "cannot sync the directory", directory);
  return result;
}

}  // namespace pystream::storage
