#include "storage/segment_file.hpp"

#include <algorithm>
#include <limits>

namespace pystream::storage {
namespace {

constexpr int64_t kWalkAhead = 64;
// No batch reaches it, so damage that ends there ends with the file.
constexpr int64_t kNoOffset = std::numeric_limits<int64_t>::max();

}  // namespace

SegmentFile::SegmentFile(const std::string& path, std::shared_ptr<FileLayer> files)
    : segment_(Segment::open_file(files ? std::move(files) : std::make_shared<FileLayer>(), path)) {
}

std::optional<SegmentFile::Item> SegmentFile::next() {
  const int64_t size = segment_->file_size();
  const int64_t end_offset = segment_->is_compacted() ? header().compacted_end_offset : kNoOffset;
  if (entry_ >= segment_->index().count()) {
    segment_->extend_index({size, end_offset}, kWalkAhead);
    if (entry_ >= segment_->index().count()) return std::nullopt;
  }
  const BatchEntry& entry = segment_->index().at(entry_++);
  if (!entry.is_corrupt) return segment_->batch(entry);
  if (entry.next_offset != kNoOffset) {
    return SegmentDamage{entry.position, entry.length, entry.base_offset, entry.next_offset};
  }
  // Zeros are the space that was reserved ahead: the end.
  const int64_t end = std::max(entry.position, size);
  const std::span<const uint8_t> rest = segment_->bytes(entry.position, end);
  segment_->prefault(rest.data(), rest.size());
  const auto last =
      std::find_if(rest.rbegin(), rest.rend(), [](uint8_t byte) { return byte != 0; });
  const int64_t length = rest.rend() - last;
  if (length == 0) return std::nullopt;
  return SegmentDamage{entry.position, length, entry.base_offset, -1};
}

}  // namespace pystream::storage
