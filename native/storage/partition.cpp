// Partition: everything but appending, reading and opening.

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
#include "storage/time_lookup.hpp"
#include "storage/wait.hpp"

namespace pystream::storage {

Partition::State::~State() = default;

void Partition::State::close_files() {
  fork_guard.reset();
  lock.close();
  segments->clear();
}

void Partition::State::throw_lock_timeout() const {
  const int64_t holder =
      control.is_mapped() ? control.words().holder_pid.load(std::memory_order_relaxed) : 0;
  const std::string pid = holder == 0 ? "another process" : "process " + std::to_string(holder);
  throw Error(ErrorCode::kRequestTimeout,
              pid + " has held the append lock of " + place->name() + " for more than " +
                  std::to_string(log->options.lock_timeout_us / 1'000) +
                  " ms. If it is stopped, continue or end it, then append again.",
              {{"topic", place->topic}, {"partition", int64_t{place->partition}}, {"pid", holder}});
}

Partition::State::AppendSchema Partition::State::append_schema() const {
  std::lock_guard guard(options_mutex);
  return {options.schema_id, options.schema};
}

int64_t Partition::State::segment_bytes() const {
  std::lock_guard guard(options_mutex);
  return options.segment_bytes;
}

PublishedState Partition::State::read_published() const {
  segments->follow(control.words().segment_changes.load(std::memory_order_acquire));
  const PublishedState published = control.read();
  if (published.incarnation == incarnation) return published;
  throw Error(ErrorCode::kStorage,
              place->name() +
                  " was opened anew after a failed sync: what was not durable then counts as "
                  "unwritten. Open the log again, and append again what was not acknowledged as "
                  "durable.",
              {{"errno", int64_t{ESTALE}},
               {"path", place->directory},
               {"topic", place->topic},
               {"partition", int64_t{place->partition}}});
}

PartitionEnds Partition::State::ends() const {
  PartitionEnds result;
  const ControlPage::Words& words = control.words();
  // First, because it never passes an end that is read later.
  result.durable_offset = words.durable_offset.load(std::memory_order_acquire);
  result.log_start_offset = control.log_start();
  const PublishedState published = read_published();
  result.log_end_offset = published.log_end_offset;
  if (result.durable_offset >= published.data_end_offset) {
    result.durable_offset = published.log_end_offset;  // nothing is missing but skipped offsets
  }
  return result;
}

// Never beyond the end of the file, also when it was cut short: what is missing becomes damage.
WalkLimit Partition::State::walk_limit(Segment& segment, const PublishedState& published) {
  const int64_t base = segment.base_offset();
  if (base == published.segment_base_offset) {
    return {segment.available(published.end_position), published.data_end_offset};
  }
  const auto next = segments->after(base, published.segment_base_offset);
  // Without a file behind it, all up to the active segment is missing.
  if (!next) return {segment.file_size(), published.segment_base_offset};
  const auto following = segments->try_get(*next);
  return {segment.file_size(), following ? following->header().previous_end_offset : *next};
}

Partition::Partition(std::shared_ptr<State> state) : state_(std::move(state)) {}

Partition::~Partition() = default;

AppendResult Partition::append(EncodedBatch* batch, Acks acks, ProducerState* producer) {
  state_->log->require_usable();
  if (!state_->is_writable()) {
    throw Error(ErrorCode::kLog, "cannot append to " + state_->place->name() +
                                     ": the log was opened read-only. Open it for writing.");
  }
  return state_->append(batch, acks, producer);
}

PartitionEnds Partition::ends() const {
  state_->log->require_usable();
  return state_->ends();
}

void Partition::sync() {
  state_->log->require_usable();
  if (state_->is_writable()) state_->sync();
}

bool Partition::sync_to(int64_t end_offset, int64_t timeout_us) {
  state_->log->require_usable();
  if (!state_->is_writable()) {
    throw Error(ErrorCode::kLog, "cannot sync " + state_->place->name() +
                                     ": the log was opened read-only. Open it for writing.");
  }
  if (!state_->sync_to(end_offset, timeout_us)) return false;
  state_->request_prewrite();
  return true;
}

void Partition::prewrite(int64_t most_bytes) {
  state_->log->require_usable();
  if (state_->is_writable()) state_->prewrite(most_bytes);
}

int64_t Partition::sync_timeout_us() const { return state_->log->options.lock_timeout_us; }

void Partition::throw_sync_timeout() const { state_->throw_sync_timeout(); }

const RecoveryReport& Partition::recovery() const { return state_->report; }

PartitionOptions Partition::options() const {
  std::lock_guard guard(state_->options_mutex);
  return state_->options;
}

bool Partition::wait(int64_t offset, int64_t timeout_us) const {
  return wait_for_any(std::span<const std::shared_ptr<State>>(&state_, 1),
                      std::span<const int64_t>(&offset, 1), nullptr, timeout_us);
}

}  // namespace pystream::storage
