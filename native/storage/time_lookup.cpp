#include "storage/time_lookup.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace pystream::storage {
namespace {

// Of a segment's file, without opening it for more; nothing when it cannot be read.
std::optional<uint64_t> salt_of(const PartitionPlace& place, int64_t base_offset) {
  const File file = File::open_if_exists(place.files, place.segment_path(base_offset), O_RDONLY);
  std::vector<uint8_t> bytes(sizeof(SegmentHeader));
  if (!file.is_open() || !file.read(bytes, 0)) return std::nullopt;
  SegmentHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header.salt;
}

int64_t value_in(const TimeIndex::Maxima& maxima, uint16_t column) {
  const auto found = maxima.find(column);
  return found == maxima.end() ? kNoTime : found->second;
}

// The first valid row from `begin` on with a value of at least `value`; -1: none.
template <typename T>
int64_t first_row(const Array& array, int64_t begin, int64_t value) {
  const T* values = array.data<T>();
  for (int64_t row = begin; row < array.length; ++row) {
    if (values[row] >= value && (array.null_count == 0 || array.is_valid(row))) return row;
  }
  return -1;
}

std::optional<OffsetAndTime> first_in(const LogBatch& batch, uint16_t column, int64_t value,
                                      int64_t log_start) {
  if ((batch.header().flags & kFlagControl) != 0) return std::nullopt;
  if (column != kTimestampColumn && column >= batch.schema()->size()) return std::nullopt;
  const auto statistics = batch.statistics(column);
  const bool may_reach =
      statistics && statistics->has_min_max && static_cast<int64_t>(statistics->maximum) >= value;
  if (!may_reach) return std::nullopt;
  const Array array =
      decode_dictionary(column == kTimestampColumn ? batch.timestamps() : batch.column(column));
  const int64_t begin = batch.row_from(log_start);
  const bool is_date = array.type.id == TypeId::kDate32;
  const int64_t row =
      is_date ? first_row<int32_t>(array, begin, value) : first_row<int64_t>(array, begin, value);
  if (row < 0) return std::nullopt;
  const int64_t time = is_date ? array.data<int32_t>()[row] : array.data<int64_t>()[row];
  return OffsetAndTime{batch.offset_of(row), time};
}

}  // namespace

TimeLookup::Sealed TimeLookup::look_at(int64_t base_offset, int64_t end_offset) {
  Sealed sealed{base_offset, end_offset, 0, {}};
  const auto salt = salt_of(*partition_.place, base_offset);
  if (!salt) return sealed;  // nothing in it can be read
  sealed.salt = *salt;
  auto maxima = TimeIndex::load_maxima(*partition_.place, base_offset, *salt, end_offset);
  if (!maxima) {
    const TimeIndex made = index_of(sealed);
    maxima = made.maxima();
  }
  sealed.maxima = std::move(*maxima);
  return sealed;
}

TimeIndex TimeLookup::index_of(const Sealed& sealed) {
  const PartitionPlace& place = *partition_.place;
  auto stored = TimeIndex::load(place, sealed.base_offset, sealed.salt, sealed.end_offset);
  if (stored) return std::move(*stored);
  TimeIndex made;
  const auto segment = partition_.segments->try_get(sealed.base_offset);
  if (!segment) return made;
  made.extend(*segment, partition_.walk_limit(*segment, partition_.read_published()));
  segment->release_file();
  const bool is_complete = !made.has_damage() && segment->header().salt == sealed.salt;
  if (is_complete && partition_.is_writable()) {
    made.store(place, sealed.base_offset, sealed.salt, sealed.end_offset);
    // Who deletes the segment meanwhile may have looked for the file before it was there.
    if (sealed.end_offset <= partition_.control.log_start()) {
      place.files->unlink(TimeIndex::path_of(place, sealed.base_offset));
    }
  }
  return made;
}

void TimeLookup::refresh(const PublishedState& published, int64_t log_start) {
  const int64_t active = published.segment_base_offset;
  auto first = partition_.segments->at_or_below(log_start, active);
  if (!first) first = partition_.segments->after(-1, active);
  if (!first) return;
  const uint64_t changes = partition_.control.words().segment_changes.load();
  // Segments below the log start offset may be there still.
  const bool is_deleted = !sealed_.empty() && sealed_.front().end_offset <= log_start;
  if (changes_ != changes || is_deleted) {
    changes_ = changes;
    sealed_.clear();
    running_.clear();
    loaded_base_ = kNoSegment;
  }
  int64_t base = sealed_.empty() ? *first : sealed_.back().end_offset;
  while (base < active) {
    const int64_t next = partition_.segments->after(base, active).value_or(active);
    sealed_.push_back(look_at(base, next));
    base = next;
  }
}

const std::vector<int64_t>& TimeLookup::running_of(uint16_t column) {
  std::vector<int64_t>& running = running_[column];
  for (size_t i = running.size() + 1; i < sealed_.size(); ++i) {
    const int64_t value = value_in(sealed_[i].maxima, column);
    running.push_back(running.empty() ? value : std::max(running.back(), value));
  }
  return running;
}

void TimeLookup::extend_active(const PublishedState& published) {
  const int64_t active = published.segment_base_offset;
  if (active_base_ != active) active_ = TimeIndex();
  active_base_ = active;
  const auto segment = partition_.segments->try_get(active);
  if (segment) active_.extend(*segment, partition_.walk_limit(*segment, published));
}

std::vector<TimeLookup::Part> TimeLookup::find(uint16_t column, int64_t value, int64_t log_start) {
  std::lock_guard guard(mutex_);
  std::vector<Part> parts;
  const PublishedState published = partition_.read_published();
  const int64_t active = published.segment_base_offset;
  if (active == kNoSegment || log_start >= published.data_end_offset) return parts;
  refresh(published, log_start);
  // From its beginning where the entries do not say: they may be younger than its largest values,
  // and who looks for kNoTime itself is not helped by them.
  const auto look_into = [&](const Sealed& sealed) {
    if (loaded_base_ != sealed.base_offset) {
      loaded_base_ = kNoSegment;
      loaded_ = index_of(sealed);
      loaded_base_ = sealed.base_offset;
    }
    return loaded_->find(column, value).value_or(sealed.base_offset);
  };
  // Of the first one, batches below the log start may be what reaches the time.
  if (!sealed_.empty() && value_in(sealed_[0].maxima, column) >= value) {
    const Sealed& first = sealed_[0];
    const int64_t found = look_into(first);
    parts.push_back({std::max(found, log_start), first.end_offset});
  }
  const std::vector<int64_t>& running = running_of(column);
  const auto at = std::lower_bound(running.begin(), running.end(), value);
  if (at != running.end()) {
    const Sealed& sealed = sealed_[static_cast<size_t>(at - running.begin()) + 1];
    parts.push_back({look_into(sealed), INT64_MAX});
    return parts;
  }
  extend_active(published);
  if (const auto found = active_.find(column, value)) {
    parts.push_back({std::max(*found, log_start), INT64_MAX});
  }
  return parts;
}

std::vector<SegmentFacts> TimeLookup::segment_facts() {
  std::lock_guard guard(mutex_);
  std::vector<SegmentFacts> facts;
  const PublishedState published = partition_.read_published();
  const int64_t active = published.segment_base_offset;
  if (active == kNoSegment) return facts;
  refresh(published, partition_.control.log_start());
  const auto bytes_of = [&](int64_t base) {
    const File file = File::open_if_exists(partition_.place->files,
                                           partition_.place->segment_path(base), O_RDONLY);
    return file.is_open() ? file.size() : 0;
  };
  for (const Sealed& sealed : sealed_) {
    facts.push_back({sealed.base_offset, sealed.end_offset, bytes_of(sealed.base_offset),
                     value_in(sealed.maxima, kAppendTimes), false});
  }
  extend_active(published);
  facts.push_back({active, published.log_end_offset, bytes_of(active),
                   value_in(active_.maxima(), kAppendTimes), true});
  return facts;
}

std::optional<OffsetAndTime> Partition::find_time(uint16_t column, int64_t value) {
  state_->log->require_usable();
  for (;;) {
    const int64_t log_start = state_->ends().log_start_offset;
    try {
      for (const TimeLookup::Part& part : state_->times->find(column, value, log_start)) {
        const auto batches = reader(part.offset);
        batches->set_on_corruption(OnCorruption::kSkip);
        while (batches->position() < part.end) {
          const auto batch = batches->next();
          if (!batch) break;
          if (const auto found = first_in(*batch, column, value, log_start)) return found;
        }
      }
      return std::nullopt;
    } catch (const Error& error) {
      const bool has_moved = state_->ends().log_start_offset > log_start;
      if (error.code() != ErrorCode::kOffsetOutOfRange || !has_moved) throw;
    }
  }
}

}  // namespace pystream::storage
