// PartitionReader: from batch to batch through the segments' shared indexes.

#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

// Headers walked at a time: enough to share the cost, few enough not to delay the first batch.
constexpr int64_t kWalkAhead = 64;

[[noreturn]] void throw_out_of_range(const PartitionPlace& place, int64_t offset,
                                     const PartitionEnds& ends) {
  throw Error(ErrorCode::kOffsetOutOfRange,
              "offset " + std::to_string(offset) + " is out of range for " + place.name() +
                  ": log start offset is " + std::to_string(ends.log_start_offset) +
                  ", log end offset is " + std::to_string(ends.log_end_offset) +
                  ". Pass auto_offset_reset=\"earliest\" or seek within the range.",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", offset},
               {"log_start_offset", ends.log_start_offset},
               {"log_end_offset", ends.log_end_offset}});
}

[[noreturn]] void throw_damage(const PartitionPlace& place, const Segment& segment,
                               const BatchEntry& entry) {
  throw Error(ErrorCode::kCorruptRecord,
              "the records of " + place.name() + " from offset " +
                  std::to_string(entry.base_offset) + " up to " +
                  std::to_string(entry.next_offset) + " cannot be read: " + segment.path() +
                  " is damaged at byte " + std::to_string(entry.position) + ". Seek to offset " +
                  std::to_string(entry.next_offset) +
                  " to go on without them, or restore the file from a backup.",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", entry.base_offset},
               {"next_offset", entry.next_offset},
               {"position", entry.position},
               {"path", segment.path()}});
}

}  // namespace

struct PartitionReader::State {
  std::shared_ptr<Partition> partition;
  std::shared_ptr<Partition::State> source;
  int64_t position = 0;              // next offset to be read
  std::shared_ptr<Segment> segment;  // null until the first batch is looked for
  int64_t entry = 0;  // in its index: the first not known to end at or below position

  // What batches of segments with the schema `stored` are read under, as of `schema_changes`.
  SchemaPtr stored;
  SchemaPtr reading;
  uint32_t schema_changes = 0;

  // The entry that holds `position`, or the first behind it; null at the end of what is published.
  const BatchEntry* find();
  bool enter_first_segment(const PublishedState& published);
  // Makes sure that `entry` exists; false when the segment has no more.
  bool fill_entry(const PublishedState& published);
  LogBatch batch(const BatchEntry& found);
};

LogBatch PartitionReader::State::batch(const BatchEntry& found) {
  const uint32_t changes = source->schema_changes.load(std::memory_order_acquire);
  if (segment->schema() != stored || changes != schema_changes) {
    stored = segment->schema();
    schema_changes = changes;
    reading = source->reading_schema(segment->header().schema_id, stored);
  }
  LogBatch batch = segment->batch(found);
  if (reading != stored) batch.widen(reading);
  return batch;
}

bool PartitionReader::State::enter_first_segment(const PublishedState& published) {
  const int64_t active = published.segment_base_offset;
  if (active == kNoSegment) return false;
  auto base = source->segments->at_or_below(position, active);
  if (!base) base = source->segments->after(position, active);
  if (!base) return false;
  segment = source->segments->get(*base);
  entry = segment->index().find(position);
  return true;
}

bool PartitionReader::State::fill_entry(const PublishedState& published) {
  const BatchIndex& index = segment->index();
  if (entry < index.count()) return true;
  return segment->extend_index(source->walk_limit(*segment, published), kWalkAhead) ||
         entry < index.count();
}

const BatchEntry* PartitionReader::State::find() {
  // Without a look at the control page as long as the index is ahead.
  if (segment) {
    for (; entry < segment->index().count(); ++entry) {
      const BatchEntry& found = segment->index().at(entry);
      if (found.next_offset > position) return &found;
    }
  }
  const PublishedState published = source->control.read();
  if (position >= published.log_end_offset) return nullptr;
  if (!segment && !enter_first_segment(published)) return nullptr;
  for (;;) {
    while (fill_entry(published)) {
      const BatchEntry& found = segment->index().at(entry);
      if (found.next_offset > position) return &found;
      ++entry;
    }
    const auto next =
        source->segments->after(segment->base_offset(), published.segment_base_offset);
    if (!next) return nullptr;
    std::shared_ptr<Segment> following = source->segments->get(*next);
    segment->release_file();
    segment = std::move(following);
    entry = 0;
  }
}

PartitionReader::PartitionReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

PartitionReader::~PartitionReader() = default;

std::optional<LogBatch> PartitionReader::peek() {
  state_->source->log->require_usable();
  const BatchEntry* entry = state_->find();
  if (entry == nullptr) return std::nullopt;
  if (entry->is_corrupt) throw_damage(*state_->source->place, *state_->segment, *entry);
  return state_->batch(*entry);
}

std::optional<LogBatch> PartitionReader::next() {
  std::optional<LogBatch> batch = peek();
  if (batch) {
    state_->position = batch->next_offset();
    ++state_->entry;
  }
  return batch;
}

int64_t PartitionReader::position() const { return state_->position; }

void PartitionReader::seek(int64_t offset) {
  state_->source->log->require_usable();
  const PartitionEnds ends = state_->source->ends();
  if (offset < ends.log_start_offset || offset > ends.log_end_offset) {
    throw_out_of_range(*state_->source->place, offset, ends);
  }
  state_->position = offset;
  state_->segment = nullptr;
  state_->entry = 0;
}

Partition& PartitionReader::partition() const { return *state_->partition; }

std::unique_ptr<PartitionReader> Partition::reader(int64_t offset) {
  auto state = std::make_unique<PartitionReader::State>();
  state->partition = shared_from_this();
  state->source = state_;
  std::unique_ptr<PartitionReader> result(new PartitionReader(std::move(state)));
  result->seek(offset);
  return result;
}

}  // namespace pystream::storage
