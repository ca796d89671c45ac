#include "storage/producer_state.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/file.hpp"
#include "storage/log_batch.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kProducerIdBits = 62;

const ColumnEntry* find_sequences(const ColumnEntry* columns, const BatchHeader& header) {
  if ((header.flags & kFlagExplicitSequences) == 0) return nullptr;
  const ColumnEntry* end = columns + header.column_count;
  const ColumnEntry* found =
      std::find_if(columns, end, [](const ColumnEntry& c) { return c.id == kSequenceColumn; });
  return found == end ? nullptr : found;
}

SequenceRange range_of(const BatchHeader& header, const ColumnEntry* columns) {
  SequenceRange range;
  range.first = header.base_sequence;
  range.last = last_sequence(header, find_sequences(columns, header));
  if (header.sequence_lag != kUnknownSequenceLag) {
    // Cannot overflow: see kSequenceLimit.
    range.complete = std::max<int64_t>(range.last - header.sequence_lag, -1);
  }
  return range;
}

}  // namespace

int64_t random_producer_id() {
  uint64_t id = 0;
  if (::getentropy(&id, sizeof(id)) != 0) {
    throw_storage_error("cannot get random bytes", "getentropy", errno);
  }
  return static_cast<int64_t>(id >> (64 - kProducerIdBits));
}

SequenceRange SequenceRange::of(const ParsedHeader& parsed) {
  return range_of(parsed.header, parsed.columns);
}

SequenceRange SequenceRange::of(const EncodedBatch& batch) {
  BatchHeader header;
  std::memcpy(&header, batch.head.data(), sizeof(header));
  const uint8_t* columns = batch.head.data() + sizeof(header);
  return range_of(header, reinterpret_cast<const ColumnEntry*>(columns));
}

ProducerState::ProducerState(const ProducerIdentity& identity, const ProducerPosition& position)
    : identity_(identity),
      largest_epoch_(identity.epoch),
      next_offset_(position.next_offset),
      incarnation_(position.incarnation),
      last_sequence_(position.last_sequence),
      complete_sequence_(position.complete_sequence) {
  if (identity_.is_named()) remembered_.resize(kRememberedBatches);
}

void ProducerState::see(const ParsedHeader& parsed) {
  const BatchHeader& header = parsed.header;
  see_incarnation(header.incarnation);
  next_offset_ = header.base_offset + header.last_offset_delta + 1;
  if (header.producer_id != identity_.id) return;
  largest_epoch_ = std::max(largest_epoch_, header.producer_epoch);
  if (!identity_.is_named()) return;
  remember(SequenceRange::of(parsed), header.base_offset, header.record_count);
}

void ProducerState::see_compacted(const CompactedProducer& producer) {
  if (producer.producer_id != identity_.id) return;
  largest_epoch_ = std::max(largest_epoch_, producer.epoch);
  if (!identity_.is_named()) return;
  last_sequence_ = std::max(last_sequence_, producer.last_sequence);
  complete_sequence_ = std::max(complete_sequence_, producer.complete_sequence);
}

void ProducerState::set_epoch(int32_t epoch) {
  identity_.epoch = epoch;
  largest_epoch_ = std::max(largest_epoch_, epoch);
}

void ProducerState::see_incarnation(uint32_t incarnation) {
  if (incarnation <= incarnation_) return;
  // Sequences rise along a partition and a recovery takes records from its end alone.
  surviving_sequence_ = std::min(surviving_sequence_, last_sequence_);
  incarnation_ = incarnation;
}

void ProducerState::require_current(const std::string& partition) const {
  if (largest_epoch_ <= identity_.epoch) return;
  throw Error(ErrorCode::kFenced,
              "producer \"" + identity_.name + "\" of epoch " + std::to_string(identity_.epoch) +
                  " is fenced: one of epoch " + std::to_string(largest_epoch_) +
                  " has written to " + partition +
                  ". Nothing was appended; close this producer, the newer one goes on.",
              {{"producer_name", identity_.name},
               {"epoch", int64_t{identity_.epoch}},
               {"current_epoch", int64_t{largest_epoch_}}});
}

void ProducerState::appended(const EncodedBatch& batch, int64_t base_offset) {
  if (!identity_.is_named()) {
    last_sequence_ += batch.record_count;
    if (is_followed()) next_offset_ = base_offset + batch.record_count;
    return;
  }
  remember(SequenceRange::of(batch), base_offset, batch.record_count);
  next_offset_ = base_offset + batch.record_count;
}

void ProducerState::remember(const SequenceRange& range, int64_t base_offset,
                             int64_t record_count) {
  last_sequence_ = std::max(last_sequence_, range.last);
  complete_sequence_ = std::max(complete_sequence_, range.complete);
  remembered_[remembered_count_ % kRememberedBatches] = {range.first, range.last, base_offset,
                                                         record_count};
  ++remembered_count_;
}

ProducerPosition ProducerState::position() const {
  return {next_offset_, incarnation_, last_sequence_, complete_sequence_};
}

const StoredBatch* ProducerState::find(int64_t sequence) const {
  const size_t count = std::min(remembered_count_, kRememberedBatches);
  for (size_t i = 0; i < count; ++i) {
    const StoredBatch& batch = remembered_[i];
    if (batch.first_sequence <= sequence && sequence <= batch.last_sequence) return &batch;
  }
  return nullptr;
}

}  // namespace pystream::storage
