#include "storage/segment_scan.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/crc32c.hpp"

namespace pystream::storage {
namespace {

int64_t next_offset_of(const BatchHeader& header) {
  return header.base_offset + header.last_offset_delta + 1;
}

// The first valid header at or behind `position`, at a multiple of the batch alignment.
std::optional<int64_t> find_header(Segment& segment, int64_t position, int64_t size,
                                   ParsedHeader* out) {
  for (; position + static_cast<int64_t>(sizeof(BatchHeader)) <= size;
       position += kBatchAlignment) {
    const std::span<const uint8_t> bytes = segment.bytes(position, position + kBatchAlignment);
    segment.prefault(bytes.data(), bytes.size());
    uint32_t magic;
    std::memcpy(&magic, bytes.data(), sizeof(magic));
    if (magic == kBatchMagic && segment.parse_at(position, size, out) == HeaderStatus::kOk) {
      return position;
    }
  }
  return std::nullopt;
}

bool is_body_intact(Segment& segment, int64_t position, const ParsedHeader& parsed) {
  const int64_t length = static_cast<int64_t>(parsed.header.total_length);
  const std::span<const uint8_t> bytes = segment.bytes(position, position + length);
  segment.prefault(bytes.data(), bytes.size());
  for (uint32_t i = 0; i < parsed.header.buffer_count; ++i) {
    const BufferEntry& buffer = parsed.buffers[i];
    if (crc32c(0, bytes.data() + buffer.offset, buffer.stored_length) != buffer.crc) return false;
  }
  return true;
}

}  // namespace

void visit_headers(Segment& segment, const std::function<void(const BatchHeader&)>& visit) {
  const int64_t size = segment.file_size();
  int64_t position = segment.header().data_offset;
  ParsedHeader parsed;
  while (const auto found = find_header(segment, position, size, &parsed)) {
    visit(parsed.header);
    position = *found + static_cast<int64_t>(parsed.header.total_length);
  }
}

namespace {

// All of it was on the disk before it got its name.
ScanResult scan_compacted(Segment& segment, int64_t limit_offset) {
  const SegmentHeader& header = segment.header();
  const int64_t end = std::min(header.compacted_end_offset, limit_offset);
  while (segment.extend_index({segment.file_size(), end}, INT64_MAX)) {
  }
  ScanResult result;
  result.end_position = header.compacted_end_position;
  result.end_offset = end;
  result.last_append_sequence = header.last_append_sequence;
  const BatchIndex& index = segment.index();
  for (int64_t i = 0; i < index.count(); ++i) {
    const BatchEntry& entry = index.at(i);
    if (entry.is_corrupt) {
      result.lost_records += entry.next_offset - entry.base_offset;
      result.last_batch_position = 0;
      continue;
    }
    result.last_batch_position = entry.position;
    result.last_header_crc = segment.parsed(entry).header.header_crc;
  }
  return result;
}

}  // namespace

ScanResult scan_segment(Segment& segment, int64_t durable_offset, int64_t limit_offset) {
  if (segment.is_compacted()) return scan_compacted(segment, limit_offset);
  const int64_t size = segment.file_size();
  ScanResult result;
  result.end_position = segment.header().data_offset;
  result.end_offset = segment.base_offset();
  bool is_chained = true;  // false behind damage, where the previous header is not known
  while (result.end_offset < limit_offset) {
    ParsedHeader parsed;
    int64_t position = result.end_position;
    const HeaderStatus status = segment.parse_at(position, size, &parsed);
    const bool is_promised = result.end_offset < durable_offset;
    bool is_good = status == HeaderStatus::kOk && parsed.header.base_offset == result.end_offset &&
                   next_offset_of(parsed.header) <= limit_offset;
    if (is_good && !is_promised) {
      is_good = (!is_chained || parsed.header.previous_header_crc == result.last_header_crc) &&
                is_body_intact(segment, position, parsed);
    }
    if (!is_good && !is_promised) {
      result.has_torn_tail = status != HeaderStatus::kEnd;
      break;
    }
    if (!is_good) {
      const auto found = find_header(segment, position + kBatchAlignment, size, &parsed);
      const bool is_usable = found && parsed.header.base_offset >= result.end_offset &&
                             next_offset_of(parsed.header) <= limit_offset;
      // Nothing readable follows: all up to the promise is lost, and the bytes stay as they are.
      const int64_t resumed =
          is_usable ? parsed.header.base_offset : std::min(durable_offset, limit_offset);
      result.lost_records += resumed - result.end_offset;
      result.end_offset = resumed;
      result.end_position = is_usable ? *found : size;
      is_chained = false;
      result.last_batch_position = 0;
      if (!is_usable) break;
      continue;
    }
    result.end_offset = next_offset_of(parsed.header);
    result.end_position = position + static_cast<int64_t>(parsed.header.total_length);
    result.last_batch_position = position;
    result.last_header_crc = parsed.header.header_crc;
    result.last_append_sequence = parsed.header.append_sequence;
    is_chained = true;
  }
  return result;
}

}  // namespace pystream::storage
