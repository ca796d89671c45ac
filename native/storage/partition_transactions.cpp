// Transactions of a partition: following their markers, writing them, and how far all is decided.

#include <algorithm>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

// Headers walked at a time.
constexpr int64_t kWalkAhead = 256;
// The page's stable offset may lag so far behind, before somebody who only looks raises it.
constexpr int64_t kStableLag = 4096;

EncodedBatch encode_marker(const TransactionMarker& marker, uint32_t schema_id) {
  EncodeOptions options;
  options.flags = kFlagTransactional | kFlagControl;
  if (marker.is_commit) options.flags |= kFlagCommit;
  options.producer_id = marker.producer_id;
  options.producer_epoch = marker.producer_epoch;
  options.base_sequence = 0;  // markers are not counted
  options.sequence_lag = kUnknownSequenceLag;
  options.transaction_id = marker.transaction_id;
  options.schema_id = schema_id;
  RecordBatch nothing;  // a record without columns
  nothing.schema = std::make_shared<Schema>();
  nothing.num_rows = 1;
  return encode_batch(nothing, {wall_clock_us(), std::nullopt}, nullptr, options);
}

}  // namespace

int64_t Partition::State::walk_batches(
    int64_t offset, const PublishedState& published,
    const std::function<bool(Segment*, const BatchEntry&)>& visit,
    const std::function<void(Segment&)>& leave) {
  const int64_t active = published.segment_base_offset;
  if (offset >= published.data_end_offset || active == kNoSegment) {
    return std::max(offset, published.log_end_offset);
  }
  auto base = segments->at_or_below(offset, active);
  if (!base) base = segments->after(offset, active);
  for (; base; base = segments->after(*base, active)) {
    const auto segment = segments->try_get(*base);
    if (!segment) {
      BatchEntry lost;
      lost.base_offset = std::max(offset, *base);
      lost.next_offset = segments->after(*base, active).value_or(published.data_end_offset);
      lost.is_corrupt = true;
      offset = std::max(offset, lost.next_offset);
      if (!visit(nullptr, lost)) return offset;
      continue;
    }
    const WalkLimit limit = walk_limit(*segment, published);
    const BatchIndex& index = segment->index();
    int64_t i = index.find(offset);
    for (;; ++i) {
      // Another thread may be walking too.
      if (i >= index.count() && !segment->extend_index(limit, kWalkAhead) && i >= index.count()) {
        break;
      }
      const BatchEntry& entry = index.at(i);
      if (entry.next_offset <= offset) continue;
      offset = entry.next_offset;
      if (!visit(segment.get(), entry)) return offset;
    }
    if (leave) leave(*segment);
    if (*base != active) segment->release_file();
  }
  return std::max(offset, published.log_end_offset);
}

void Partition::State::follow_transactions(const PublishedState& published) {
  const std::atomic<uint64_t>& changes = control.words().segment_changes;
  // Of a transaction that was met, the marker may be removed, with all of its records, before it
  // is come to: then those records are gone where they were read.
  for (uint64_t seen = changes.load(std::memory_order_seq_cst);;) {
    segments->follow(seen);
    if (seen != transactions_changes) transactions = TransactionTracker();
    transactions_changes = seen;
    follow_segments(published);
    const uint64_t now = changes.load(std::memory_order_seq_cst);
    if (now == seen) return;
    seen = now;
  }
}

void Partition::State::follow_segments(const PublishedState& published) {
  const auto log_start = [this] { return control.log_start(); };
  // In this order: an offset inside a batch is stable only for a log that starts there.
  const int64_t stable = control.checked_stable().value_or(0);
  transactions.drop_below(log_start());
  transactions.pass(stable);
  const int64_t end = walk_batches(transactions.next_offset(), published,
                                   [&](Segment* segment, const BatchEntry& entry) {
                                     if (entry.is_corrupt) {
                                       // What was deleted meanwhile is no damage.
                                       if (entry.next_offset > log_start()) {
                                         transactions.see_damage();
                                       }
                                     } else if ((entry.flags & kFlagTransactional) != 0) {
                                       transactions.see(segment->parsed(entry).header);
                                     }
                                     transactions.advance(entry.next_offset);
                                     return true;
                                   });
  transactions.advance(std::max(transactions.next_offset(), end));
}

bool Partition::State::has_open_transaction(int64_t transaction_id,
                                            const PublishedState& published) {
  std::lock_guard guard(transactions_mutex);
  follow_transactions(published);
  return transactions.is_open(transaction_id);
}

// Where nothing is open the page says so itself.
bool Partition::State::is_all_stable(const PublishedState& published) const {
  return control.checked_stable().value_or(-1) >= published.log_end_offset;
}

int64_t Partition::State::last_stable_offset() {
  const PublishedState published = read_published();
  if (is_all_stable(published)) return published.log_end_offset;
  int64_t stable = 0;
  {
    std::lock_guard guard(transactions_mutex);
    follow_transactions(published);
    stable = transactions.stable_offset();
  }
  raise_stable(stable);
  return stable;
}

std::vector<OpenTransaction> Partition::State::open_transactions() {
  const PublishedState published = read_published();
  if (is_all_stable(published)) return {};
  std::lock_guard guard(transactions_mutex);
  follow_transactions(published);
  return transactions.open();
}

// A writer that died between a publish and this word left it behind for ever.
void Partition::State::raise_stable(int64_t stable) {
  if (!is_writable() || stable - control.checked_stable().value_or(0) < kStableLag) return;
  const AppendLock held(*this, 0);
  if (!held.is_held()) return;
  log->require_usable();  // else the lock is of this process only
  read_published();       // what was found may have been cut back meanwhile
  if (stable > control.checked_stable().value_or(0)) control.set_stable(stable);
}

// Under the append lock, behind the publish of a batch that began at `begin`. Never throws: what
// was published is.
void Partition::State::note_stable(int64_t begin, const PublishedState& published,
                                   uint16_t flags) noexcept {
  if ((flags & kFlagTransactional) == 0) {
    if (control.checked_stable().value_or(-1) == begin) {
      control.set_stable(published.log_end_offset);
    }
    return;
  }
  if ((flags & kFlagControl) == 0) return;
  try {
    std::lock_guard guard(transactions_mutex);
    follow_transactions(published);
    control.set_stable(transactions.stable_offset());
  } catch (const Error&) {
    return;  // it lags behind
  }
}

std::optional<int64_t> Partition::end_transaction(const TransactionMarker& marker, Acks acks) {
  state_->log->require_usable();
  if (!state_->is_writable()) {
    throw Error(ErrorCode::kLog, "cannot end a transaction in " + state_->place->name() +
                                     ": the log was opened read-only. Open it for writing.");
  }
  {
    // Without the lock, and nearly always right: who has nothing there need not wait for it.
    const PublishedState published = state_->read_published();
    if (!state_->has_open_transaction(marker.transaction_id, published)) return std::nullopt;
  }
  EncodedBatch batch = encode_marker(marker, state_->append_schema().id);
  const AppendResult result = state_->append(&batch, acks, nullptr, &marker);
  if (result.base_offset < 0) return std::nullopt;
  return result.base_offset;
}

std::vector<OpenTransaction> Partition::open_transactions() {
  state_->log->require_usable();
  return state_->open_transactions();
}

int64_t Partition::last_stable_offset() {
  state_->log->require_usable();
  return state_->last_stable_offset();
}

}  // namespace pystream::storage
