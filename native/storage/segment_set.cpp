#include "storage/segment_set.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace pystream::storage {

std::vector<int64_t> SegmentSet::list() {
  std::vector<std::string> names;
  checked(place_->files->list(place_->directory, &names), "cannot list", place_->directory);
  std::vector<int64_t> result;
  for (const std::string& name : names) {
    if (const auto base_offset = parse_segment_name(name)) result.push_back(*base_offset);
  }
  std::sort(result.begin(), result.end());
  return result;
}

void SegmentSet::refresh(int64_t active) {
  if (base_offsets_.empty() || base_offsets_.back() < active) base_offsets_ = list();
}

SchemaPtr SegmentSet::shared_schema(const SchemaPtr& schema) {
  if (!last_schema_ || !(*last_schema_ == *schema)) last_schema_ = schema;
  return last_schema_;
}

void SegmentSet::insert(std::shared_ptr<Segment> segment) {
  if (open_.size() >= kMaxOpenSegments) {
    std::erase_if(open_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  open_[segment->base_offset()] = std::move(segment);
}

std::shared_ptr<Segment> SegmentSet::get(int64_t base_offset) {
  std::lock_guard guard(mutex_);
  if (const auto found = open_.find(base_offset); found != open_.end()) return found->second;
  std::shared_ptr<Segment> segment = Segment::open(place_, base_offset, writable_);
  segment->set_schema(shared_schema(segment->schema()));
  insert(segment);
  return segment;
}

std::shared_ptr<Segment> SegmentSet::try_get(int64_t base_offset) {
  try {
    return get(base_offset);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptRecord) throw;
    return nullptr;
  }
}

void SegmentSet::add(std::shared_ptr<Segment> segment) {
  std::lock_guard guard(mutex_);
  segment->set_schema(shared_schema(segment->schema()));
  insert(std::move(segment));
}

void SegmentSet::clear() {
  std::lock_guard guard(mutex_);
  open_.clear();
}

void SegmentSet::follow(uint64_t changes) {
  if (changes_.load(std::memory_order_acquire) == changes) return;
  std::lock_guard guard(mutex_);
  base_offsets_.clear();
  std::erase_if(forgotten_, [](const auto& segment) { return segment.expired(); });
  for (const auto& [base, segment] : open_) forgotten_.push_back(segment);
  open_.clear();
  changes_.store(changes, std::memory_order_release);
}

int64_t SegmentSet::pinned_bytes() {
  std::lock_guard guard(mutex_);
  int64_t bytes = 0;
  for (const auto& weak : forgotten_) {
    const auto segment = weak.lock();
    if (segment && segment->is_removed()) bytes += segment->last_size();
  }
  return bytes;
}

std::optional<int64_t> SegmentSet::at_or_below(int64_t offset, int64_t active) {
  std::lock_guard guard(mutex_);
  refresh(active);
  const auto above =
      std::upper_bound(base_offsets_.begin(), base_offsets_.end(), std::min(offset, active));
  if (above == base_offsets_.begin()) return std::nullopt;
  return *std::prev(above);
}

std::optional<int64_t> SegmentSet::after(int64_t base_offset, int64_t active) {
  std::lock_guard guard(mutex_);
  refresh(active);
  const auto next = std::upper_bound(base_offsets_.begin(), base_offsets_.end(), base_offset);
  if (next == base_offsets_.end() || *next > active) return std::nullopt;
  return *next;
}

}  // namespace pystream::storage
