// The write path of a partition. Every step either leaves the log as it was or is the publish:
//
//   lock · mark in flight · [roll: a new segment under a temporary name] · reserve blocks · take a
//   sequence · stamp · pwrite batch and terminator · [give the segment its name] · publish ·
//   clear the mark · unlock · wake · [wait until durable: sync.cpp]
//
// A mark that is still set when the lock is taken tells that the last holder died on the way, or
// could not take back what it had written of a batch that failed.

#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/futex.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kLeaseReturnTimeoutUs = 100'000;
constexpr uint8_t kZeros[kTerminatorBytes] = {};

// Set from before the sequence is taken until the batch is published or given up, so that readers
// in append order wait for it (Log::frontier). The mark is at most the sequence.
class InFlightMark {
 public:
  InFlightMark(ControlPage::Words& words, const std::atomic<uint64_t>& counter) : words_(words) {
    words_.in_flight.store(counter.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
  }
  ~InFlightMark() {
    if (!is_left_) words_.in_flight.store(kNotInFlight, std::memory_order_seq_cst);
  }
  InFlightMark(const InFlightMark&) = delete;
  InFlightMark& operator=(const InFlightMark&) = delete;
  // For who takes the lock next, as the mark of a dead writer.
  void leave() { is_left_ = true; }

 private:
  ControlPage::Words& words_;
  bool is_left_ = false;
};

BatchHeader unstamped_header(const EncodedBatch& batch) {
  BatchHeader header;
  assert(batch.head.size() >= sizeof(header));
  std::memcpy(&header, batch.head.data(), sizeof(header));
  return header;
}

[[noreturn]] void throw_wrong_schema(const PartitionPlace& place, uint32_t got, uint32_t expected) {
  throw Error(ErrorCode::kSchema,
              "the batch was encoded with schema " + std::to_string(got) + ", but " + place.name() +
                  " has schema " + std::to_string(expected) +
                  ". Encode it again with the current schema.",
              {{"topic", place.topic}, {"partition", int64_t{place.partition}}});
}

// Head, buffers, padding between them, terminator.
void collect_parts(const EncodedBatch& batch, std::vector<iovec>* parts) {
  parts->clear();
  int64_t total = 0;
  const auto add = [&](const void* bytes, int64_t length) {
    parts->push_back({const_cast<void*>(bytes), static_cast<size_t>(length)});
    total += length;
  };
  add(batch.head.data(), static_cast<int64_t>(batch.head.size()));
  for (const Buffer& buffer : batch.body) {
    if (buffer.size == 0) continue;
    add(buffer.data, buffer.size);
    if (const int64_t padding = round_up_64(total) - total; padding > 0) add(kZeros, padding);
  }
  assert(total == batch.total_length);
  add(kZeros, kTerminatorBytes);
}

// The last holder of the lock died between taking it and publishing. What it wrote must not come
// back: after a power loss a stale batch could stand where a later, published one was lost. And a
// segment that it named but never published must not be found.
void bury_dead_append(Partition::State& state, const PublishedState& published) {
  if (published.segment_base_offset != kNoSegment && !published.must_roll) {
    const auto segment = state.segments->get(published.segment_base_offset);
    segment->write_terminator(published.end_position);
    state.sync_segment(*segment);
  }
  if (published.segment_base_offset != published.log_end_offset) {
    const std::string orphan = state.place->segment_path(published.log_end_offset);
    const int result = state.place->files->unlink(orphan);
    if (result != -ENOENT) checked(result, "cannot remove", orphan);
  }
}

bool try_to_bury(Partition::State& state, const PublishedState& published) noexcept {
  try {
    bury_dead_append(state, published);
    return true;
  } catch (const Error&) {
    return false;  // the error that led here is told; this one is met again by the next append
  }
}

// Records durably that offsets up to some way beyond `next_offset` may have been seen, before one
// of them is published.
void renew_lease(Partition::State& state, const PublishedState& published, int64_t next_offset,
                 int64_t records) {
  if (next_offset <= state.control.words().synced_lease_end.load()) return;
  const int64_t ahead = std::max(kLeaseOffsets, kLeaseBatches * records);
  const File file = File::open(state.place->files, control_path(*state.place), O_RDWR);
  state.control.write_lease(file, next_offset + ahead, published);
}

std::shared_ptr<Segment> roll(Partition::State& state, const PublishedState& published,
                              const Partition::State::AppendSchema& schema,
                              const EncodedBatch& batch) {
  SegmentHeader header{};
  header.partition = state.place->partition;
  std::memcpy(header.topic_id, state.place->topic_id, sizeof(header.topic_id));
  header.base_offset = published.log_end_offset;
  header.previous_end_offset = published.data_end_offset;
  header.incarnation = state.incarnation;
  header.schema_id = schema.id;
  header.created_us = wall_clock_us();
  if (::getentropy(&header.salt, sizeof(header.salt)) != 0) {
    throw_storage_error("cannot get random bytes", "getentropy", errno);
  }
  const int64_t needed = segment_data_offset(schema.schema->serialize().size()) +
                         batch.total_length + kTerminatorBytes;
  header.max_bytes =
      (std::max(state.segment_bytes(), needed) + kPageBytes - 1) / kPageBytes * kPageBytes;
  return Segment::create(state.place, header, schema.schema);
}

// The active segment, when it takes the batch; else null. When another process has gone on to a
// wider schema, `schema` becomes that one: then a new segment is not narrower than the last.
std::shared_ptr<Segment> usable_active(Partition::State& state, const PublishedState& published,
                                       int64_t batch_bytes,
                                       Partition::State::AppendSchema* schema) {
  if (published.segment_base_offset == kNoSegment || published.must_roll) return nullptr;
  if (!state.active || state.active->base_offset() != published.segment_base_offset) {
    state.active = state.segments->get(published.segment_base_offset);
  }
  const uint32_t active_id = state.active->header().schema_id;
  if (active_id != schema->id && state.learn_schema(active_id, state.active->schema())) {
    *schema = state.append_schema();
  }
  const bool is_usable = state.active->schema()->extends(*schema->schema) &&
                         state.active->fits(published.end_position, batch_bytes);
  return is_usable ? state.active : nullptr;
}

// True when the batch may be appended. A producer without a name knows all that it has written.
bool admit(Partition::State& state, const PublishedState& published, const BatchHeader& header,
           ProducerState& producer, AppendResult* result) {
  assert(header.producer_id == producer.identity().id);
  if (!producer.is_followed()) return true;
  state.catch_up(producer, published);
  producer.require_current(state.place->name());
  if (!producer.identity().is_named()) return true;
  if (header.base_sequence > producer.last_sequence()) return true;
  result->duplicates_up_to = producer.last_sequence();
  return false;
}

}  // namespace

AppendLock::AppendLock(Partition::State& state)
    : AppendLock(state, state.log->options.lock_timeout_us) {
  if (!is_held_) state_.throw_lock_timeout();
  if (!state_.log->is_closed.load(std::memory_order_acquire)) state_.require_in_place();
}

AppendLock::AppendLock(Partition::State& state, int64_t timeout_us)
    : state_(state), is_held_(state.lock.acquire(timeout_us)) {
  if (is_held_) state_.control.words().holder_pid.store(state_.pid, std::memory_order_relaxed);
}

AppendResult Partition::State::append(EncodedBatch* batch, Acks acks, ProducerState* producer,
                                      const TransactionMarker* marker) {
  if (acks == Acks::kInterval) log->pledges.give();
  const AppendResult result = publish(batch, acks, producer, marker);
  if (result.base_offset < 0) return result;
  // Records that are there already get the same promise: all up to now becomes durable.
  const bool is_duplicate = result.duplicates_up_to >= 0;
  const bool is_overdue = acks == Acks::kInterval && is_sync_postponed.load();
  if (acks == Acks::kDurable || is_overdue) {
    require_durable(is_duplicate
                        ? INT64_MAX
                        : result.base_offset + unstamped_header(*batch).last_offset_delta + 1);
    if (acks == Acks::kDurable) request_prewrite();
    if (is_overdue) is_sync_postponed.store(false);
  } else if (acks == Acks::kInterval) {
    request_sync();
  }
  return result;
}

AppendResult Partition::State::publish(EncodedBatch* batch, Acks acks, ProducerState* producer,
                                       const TransactionMarker* marker) {
  const BatchHeader unstamped = unstamped_header(*batch);
  AppendResult result;
  {
    const AppendLock held(*this);
    log->require_usable();  // a close() that came first has released the files
    ControlPage::Words& words = control.words();
    PublishedState published = read_published();
    require_sound();
    AppendSchema schema = append_schema();
    if (unstamped.schema_id != schema.id && !is_known_schema(unstamped.schema_id))
      throw_wrong_schema(*place, unstamped.schema_id, schema.id);
    if (producer != nullptr && !admit(*this, published, unstamped, *producer, &result)) {
      if (acks != Acks::kPublished) {
        words.interval_end_offset.store(published.data_end_offset, std::memory_order_release);
        has_appended.store(true, std::memory_order_relaxed);  // close() syncs them, as its own
      }
      return result;
    }
    if (marker != nullptr && !has_open_transaction(marker->transaction_id, published)) {
      result.base_offset = -1;  // somebody else was faster
      return result;
    }
    if (words.in_flight.load(std::memory_order_relaxed) != kNotInFlight) {
      bury_dead_append(*this, published);
    }
    InFlightMark mark(words, log->order.counter());
    const int64_t next_offset = published.log_end_offset + unstamped.last_offset_delta + 1;
    renew_lease(*this, published, next_offset, unstamped.record_count);

    std::shared_ptr<Segment> segment =
        usable_active(*this, published, batch->total_length, &schema);
    const bool is_new = segment == nullptr;
    if (is_new) segment = roll(*this, published, schema, *batch);
    const int64_t position = is_new ? segment->header().data_offset : published.end_position;
    try {
      segment->grow(position + batch->total_length + kTerminatorBytes);
      result.base_offset = published.log_end_offset;
      result.append_time_us = log->clock_us();
      result.append_sequence = log->order.counter().fetch_add(1, std::memory_order_seq_cst);
      Stamp stamp;
      stamp.base_offset = result.base_offset;
      stamp.append_time_us = result.append_time_us;
      stamp.append_sequence = result.append_sequence;
      stamp.durable_offset = words.durable_offset.load(std::memory_order_acquire);
      stamp.incarnation = incarnation;
      stamp.previous_header_crc = is_new ? 0 : published.last_header_crc;
      stamp.salt = segment->header().salt;
      stamp.file_position = position;
      if (producer != nullptr && !producer->identity().is_named()) {
        stamp.base_sequence = producer->next_sequence();
      }
      published.last_header_crc = stamp_batch(batch, stamp);
      collect_parts(*batch, &parts);
      segment->write(parts, position);
      if (is_new) segment->link_name();
    } catch (...) {
      // All of the batch may be in the file: after a power loss it would count as appended.
      if (is_new) {
        segment->discard();
      } else if (!try_to_bury(*this, published)) {
        mark.leave();
      }
      throw;
    }
    published.segment_base_offset = segment->base_offset();
    published.end_position = position + batch->total_length;
    published.log_end_offset = next_offset;
    published.data_end_offset = next_offset;
    published.last_batch_position = position;
    published.last_append_sequence = result.append_sequence;
    published.must_roll = false;
    has_appended.store(true, std::memory_order_relaxed);
    control.publish(published);
    if (producer != nullptr) producer->appended(*batch, result.base_offset);
    if (acks != Acks::kPublished) {
      words.interval_end_offset.store(next_offset, std::memory_order_release);
    }
    if (is_new) {
      segments->add(segment);
      active = std::move(segment);
    }
    note_stable(result.base_offset, published, unstamped.flags);
  }
  control.wake();
  wake_waiters(&log->order.words().wake, &log->order.words().waiters);
  return result;
}

void Partition::State::finish_appends() {
  lock.wait_for_threads();
  if (!has_appended.load()) return;
  sync();
  // Another process may hold the lock, or the disk fail; then the lease stays, which costs nothing
  // but a gap in the offsets after a power loss.
  try {
    return_lease();
  } catch (const Error&) {
  }
}

void Partition::State::return_lease() {
  const AppendLock held(*this, kLeaseReturnTimeoutUs);
  if (!held.is_held()) return;
  require_in_place();
  active.reset();
  const PublishedState published = read_published();
  const int64_t end = published.log_end_offset;
  const bool is_durable =
      control.words().durable_offset.load(std::memory_order_acquire) >= published.data_end_offset;
  const auto lease = control.lease();
  if (is_durable && lease && lease->lease_end > end) {
    control.write_lease(File::open(place->files, control_path(*place), O_RDWR), end, published);
  }
}

}  // namespace pystream::storage
