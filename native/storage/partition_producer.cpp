// Producers of a partition: reading what they published elsewhere, and finding their records again.

#include <algorithm>
#include <optional>

#include "storage/partition_state.hpp"
#include "storage/producer_state.hpp"

namespace pystream::storage {
namespace {

// Headers walked at a time.
constexpr int64_t kWalkAhead = 256;

// What a compacted segment's batches said, of those that are gone too.
void see_compacted(ProducerState& producer, Segment& segment) {
  if (!segment.is_compacted()) return;
  try {
    for (const CompactedProducer& known : segment.producers()) producer.see_compacted(known);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptRecord) throw;  // lost, as batches that are damaged
  }
}

// Nothing when it is damaged, or another producer's.
std::optional<StoredBatch> batch_of(const ProducerState& producer, Segment* segment,
                                    const BatchEntry& entry) {
  if (entry.is_corrupt) return std::nullopt;
  const ParsedHeader parsed = segment->parsed(entry);
  if (parsed.header.producer_id != producer.identity().id) return std::nullopt;
  const SequenceRange range = SequenceRange::of(parsed);
  // Where records were taken out, the stored sequences tell the offsets.
  const int64_t count = segment->is_compacted() ? 0 : parsed.header.record_count;
  return StoredBatch{range.first, range.last, parsed.header.base_offset, count};
}

}  // namespace

void Partition::State::catch_up(ProducerState& producer, const PublishedState& published) {
  // What cannot be read is lost, or was never written.
  const auto see = [&](Segment* segment, const BatchEntry& entry) {
    if (!entry.is_corrupt) producer.see(segment->parsed(entry));
    return true;
  };
  const auto leave = [&](Segment& segment) { see_compacted(producer, segment); };
  producer.advance(walk_batches(producer.next_offset(), published, see, leave));
  producer.see_incarnation(incarnation);
}

// Whether the records below the position are those that were there when it was taken. After a
// power loss some may be gone: then no batch ends where it says.
bool Partition::State::holds(const ProducerPosition& position, const PublishedState& published) {
  if (position.incarnation == incarnation || position.next_offset == 0) return true;
  if (position.next_offset <= control.log_start()) {
    return true;
  }
  const int64_t active = published.segment_base_offset;
  if (active == kNoSegment || position.next_offset > published.data_end_offset) return false;
  const auto base = segments->at_or_below(position.next_offset - 1, active);
  const auto segment = base ? segments->try_get(*base) : nullptr;
  if (!segment) return false;
  // All of it was durable, whatever of it is left.
  if (segment->is_compacted())
    return position.next_offset <= segment->header().compacted_end_offset;
  const BatchIndex& index = segment->index();
  const WalkLimit limit = walk_limit(*segment, published);
  int64_t i = index.find(position.next_offset - 1);
  while (i >= index.count() && segment->extend_index(limit, kWalkAhead)) {
    i = index.find(position.next_offset - 1);
  }
  if (i >= index.count()) return false;
  const BatchEntry& entry = index.at(i);
  return entry.base_offset < position.next_offset &&
         (entry.next_offset == position.next_offset || entry.is_corrupt);
}

std::unique_ptr<ProducerState> Partition::open_producer(const ProducerIdentity& identity,
                                                        const ProducerPosition& position) {
  state_->log->require_usable();
  if (!identity.is_named() && !identity.is_transactional) {
    return std::make_unique<ProducerState>(identity);
  }
  const PublishedState published = state_->read_published();
  ProducerPosition start = position;
  if (position.next_offset == ProducerPosition::kUnused) {
    start = {published.log_end_offset, state_->incarnation, -1, -1};
  } else if (!state_->holds(position, published)) {
    // As the batches say, from the first on; only recoveries since the position count.
    start = {state_->ends().log_start_offset, position.incarnation, -1, -1};
  }
  auto producer = std::make_unique<ProducerState>(identity, start);
  state_->catch_up(*producer, published);
  return producer;
}

std::optional<StoredBatch> Partition::State::find_stored(ProducerState& producer,
                                                         int64_t sequence) {
  const PublishedState published = read_published();
  ProducerState::Search& search = producer.search();
  if (sequence < search.next_sequence) search = {};
  search.next_offset = std::max(search.next_offset, control.log_start());
  std::optional<StoredBatch> found;
  const auto visit = [&](Segment* segment, const BatchEntry& entry) {
    const auto batch = batch_of(producer, segment, entry);
    if (batch && batch->last_sequence >= sequence) {
      if (batch->first_sequence <= sequence) found = batch;
      return false;
    }
    if (batch) search.next_sequence = batch->last_sequence + 1;
    search.next_offset = entry.next_offset;
    return true;
  };
  walk_batches(search.next_offset, published, visit);
  return found;
}

std::vector<int64_t> Partition::stored_offsets(ProducerState& producer,
                                               std::span<const int64_t> sequences) {
  std::vector<int64_t> offsets(sequences.size(), -1);
  const int64_t log_start = ends().log_start_offset;
  std::optional<StoredBatch> batch;
  std::optional<LogBatch> found;  // as stored, unless its sequences are dense
  Array stored;                   // its sequences
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t sequence = sequences[i];
    if (!batch || sequence < batch->first_sequence || sequence > batch->last_sequence) {
      const StoredBatch* remembered = producer.find(sequence);
      batch = remembered ? *remembered : state_->find_stored(producer, sequence);
      if (batch && !batch->is_dense()) {
        found = reader(std::max(batch->base_offset, log_start))->next();
        // Compaction may have taken it, or some of its records.
        const bool is_left = found && found->header().producer_id == producer.identity().id;
        if (is_left) stored = found->sequences();
        if (!is_left) batch.reset();
      }
    }
    if (!batch) continue;
    if (batch->is_dense()) {
      offsets[i] = batch->base_offset + (sequence - batch->first_sequence);
      continue;
    }
    const int64_t* begin = stored.data<int64_t>();
    const int64_t* end = begin + stored.length;
    const int64_t* at = std::lower_bound(begin, end, sequence);
    if (at != end && *at == sequence) offsets[i] = found->offset_of(at - begin);
  }
  // Of the first batch that is left, records may be deleted.
  for (int64_t& offset : offsets) {
    if (offset < log_start) offset = -1;
  }
  return offsets;
}

}  // namespace pystream::storage
