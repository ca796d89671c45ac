// Segment::extend_index: the walk from header to header, and how it goes on behind damage.

#include <algorithm>
#include <cstring>

#include "storage/format_version.hpp"
#include "storage/segment.hpp"

namespace pystream::storage {
namespace {

// Batches up to this size are walked with their data populated: the pages are about to be read
// anyway and one call serves many headers. Larger ones are skipped over.
constexpr int64_t kSmallBatchBytes = 128 * 1024;
constexpr int64_t kHeaderReadBytes = 4096;

}  // namespace

HeaderStatus Segment::parse_at(int64_t position, int64_t limit, ParsedHeader* out) {
  if (limit - position < static_cast<int64_t>(sizeof(BatchHeader))) return HeaderStatus::kEnd;
  const int64_t count = index_.count();
  const bool is_dense = count == 0 || index_.at(count - 1).length <= kSmallBatchBytes;
  const std::span<const uint8_t> rest = bytes(position, limit);
  prefault_range(position, std::min(limit, position + kHeaderReadBytes), is_dense);
  BatchHeader header;
  std::memcpy(&header, rest.data(), sizeof(header));
  // The tables may reach past the first page; their length is believed only within bounds.
  const int64_t tables = std::min<int64_t>(header.header_length, limit - position);
  if (header.magic == kBatchMagic && tables > kHeaderReadBytes) {
    prefault_range(position, position + tables, is_dense);
  }
  const HeaderStatus status = parse_header(rest, header_.salt, position, out);
  if (status == HeaderStatus::kOtherVersion) {
    throw_other_version(
        "the record batch at byte " + std::to_string(position) + " of " + segment_place_.path,
        segment_place_.path, out->header.version);
  }
  return status;
}

// Enters [walk_offset_, end_offset) as lost and moves the walk behind it.
void Segment::add_damage(int64_t end_offset, int64_t end_position) {
  end_position = std::max(end_position, walk_position_);  // a file that was cut short ends before
  index_.append(walk_offset_, end_offset, walk_position_, end_position - walk_position_, true);
  walk_offset_ = end_offset;
  walk_position_ = end_position;
}

// The next batch behind the damage at walk_position_. A header cannot be mistaken: its CRC is
// seeded with the segment's salt and its own position.
bool Segment::resync(const WalkLimit& limit, ParsedHeader* out, int64_t* position) {
  for (int64_t at = walk_position_ + kBatchAlignment;
       at + static_cast<int64_t>(sizeof(BatchHeader)) <= limit.position; at += kBatchAlignment) {
    prefault_range(at, at + kBatchAlignment, true);
    uint32_t magic;
    std::memcpy(&magic, bytes(at, at + kBatchAlignment).data(), sizeof(magic));
    if (magic != kBatchMagic || parse_at(at, limit.position, out) != HeaderStatus::kOk) continue;
    const int64_t next_offset = out->header.base_offset + out->header.last_offset_delta + 1;
    if (out->header.base_offset < walk_offset_ || next_offset > limit.offset) continue;
    *position = at;
    return true;
  }
  return false;
}

WalkLimit Segment::own_limit(const WalkLimit& limit) const {
  if (!is_compacted()) return limit;
  return {std::min(limit.position, header_.compacted_end_position),
          std::min(limit.offset, header_.compacted_end_offset)};
}

// In a compacted segment, batches that touch have nothing missing between them but what was
// removed: only bytes in which no batch can be read are damage.
bool Segment::extend_index(const WalkLimit& wanted, int64_t count) {
  std::lock_guard guard(walk_mutex_);
  const WalkLimit limit = own_limit(wanted);
  const int64_t before = index_.count();
  while (walk_offset_ < limit.offset && index_.count() - before < count) {
    if (is_compacted() && walk_position_ == header_.compacted_end_position) {
      walk_offset_ = limit.offset;
      break;
    }
    ParsedHeader parsed;
    int64_t position = walk_position_;
    const HeaderStatus status = parse_at(position, limit.position, &parsed);
    const BatchHeader& header = parsed.header;
    const bool is_batch = status == HeaderStatus::kOk && header.base_offset >= walk_offset_ &&
                          header.base_offset + header.last_offset_delta < limit.offset;
    if (!is_batch && !resync(limit, &parsed, &position)) {
      add_damage(limit.offset, limit.position);
      break;
    }
    const bool is_removed = is_compacted() && position == walk_position_;
    if (header.base_offset > walk_offset_ && !is_removed) add_damage(header.base_offset, position);
    const int64_t next_offset = header.base_offset + header.last_offset_delta + 1;
    const int64_t length = static_cast<int64_t>(header.total_length);
    index_.append(header.base_offset, next_offset, position, length, false, header.flags,
                  header.transaction_id);
    walk_position_ = position + length;
    walk_offset_ = next_offset;
  }
  // What a compacted segment never held stood in another file, which is gone.
  if (walk_offset_ >= limit.offset && walk_offset_ < wanted.offset &&
      index_.count() - before < count) {
    walk_position_ = std::max(walk_position_, wanted.position);
    add_damage(wanted.offset, walk_position_);
  }
  return index_.count() > before;
}

}  // namespace pystream::storage
