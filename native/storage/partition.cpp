// Partition: everything but appending, reading and opening.

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
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

void Partition::State::throw_sync_failed() const {
  throw Error(ErrorCode::kStorage,
              "a sync of " + place->name() +
                  " failed, so what is not durable may be lost and the partition takes no more "
                  "appends. Reading goes on. Check the disk and restart the machine: the partition "
                  "is then recovered from what the disk really holds.",
              {{"errno", int64_t{EIO}},
               {"path", place->directory},
               {"topic", place->topic},
               {"partition", int64_t{place->partition}}});
}

Partition::State::AppendSchema Partition::State::append_schema() const {
  std::lock_guard guard(options_mutex);
  return {options.schema_id, options.schema};
}

PartitionEnds Partition::State::ends() const {
  PartitionEnds result;
  const ControlPage::Words& words = control.words();
  // First, because it never passes an end that is read later.
  result.durable_offset = words.durable_offset.load(std::memory_order_acquire);
  result.log_start_offset = words.log_start_offset.load(std::memory_order_acquire);
  const PublishedState published = control.read();
  result.log_end_offset = published.log_end_offset;
  if (result.durable_offset >= published.data_end_offset) {
    result.durable_offset = published.log_end_offset;  // nothing is missing but skipped offsets
  }
  return result;
}

bool Partition::State::needs_sync() const noexcept {
  const ControlPage::Words& words = control.words();
  return words.durable_offset.load(std::memory_order_relaxed) <
             words.interval_end_offset.load(std::memory_order_relaxed) &&
         words.sync_failed.load(std::memory_order_relaxed) == 0;
}

void Partition::State::request_sync() {
  if (!is_sync_requested.exchange(true)) log->sync_thread.request(weak_from_this());
}

void Partition::State::sync_in_background() noexcept {
  try {
    sync();
  } catch (const Error&) {
    // Remembered in sync_failed: the next append says it.
  }
}

void Partition::State::sync() {
  std::lock_guard guard(sync_mutex);
  is_sync_requested.store(false);
  ControlPage::Words& words = control.words();
  if (words.sync_failed.load() != 0) throw_sync_failed();
  const int64_t durable = words.durable_offset.load(std::memory_order_acquire);
  const PublishedState published = control.read();
  if (durable >= published.data_end_offset || published.segment_base_offset == kNoSegment) return;
  try {
    // All segments with anything above the durable offset. Such a segment may also be new, and
    // then its name, and at first its directories', must reach the disk too.
    auto base = segments->at_or_below(durable, published.segment_base_offset);
    if (!base) base = segments->after(-1, published.segment_base_offset);
    for (; base; base = segments->after(*base, published.segment_base_offset)) {
      segments->get(*base)->sync();
    }
    if (published.segment_base_offset >= durable) sync_directories(durable == 0);
  } catch (const Error&) {
    if (is_deleted()) return;
    words.sync_failed.store(1);
    throw;
  }
  control.raise_durable(published.data_end_offset);
}

bool Partition::State::is_deleted() const {
  std::vector<std::string> names;
  return place->files->list(place->directory, &names) == -ENOENT;
}

// The partition's directory, and for a new partition all above it up to the log's.
void Partition::State::sync_directories(bool is_new) {
  std::string directory = place->directory;
  const int levels = is_new ? 4 : 1;  // <partition>, <topic id>, topics, the log's directory
  for (int i = 0; i < levels; ++i) {
    checked(place->files->sync_directory(directory), "cannot sync the directory", directory);
    directory.resize(directory.rfind('/'));
  }
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

AppendResult Partition::append(EncodedBatch* batch, Acks acks) {
  state_->log->require_usable();
  if (acks == Acks::kDurable) {
    throw Error(ErrorCode::kNotSupported,
                "acks=\"durable\" is not supported yet. Use \"interval\", or \"published\" and "
                "sync() where it matters.");
  }
  if (!state_->is_writable()) {
    throw Error(ErrorCode::kLog, "cannot append to " + state_->place->name() +
                                     ": the log was opened read-only. Open it for writing.");
  }
  return state_->append(batch, acks);
}

PartitionEnds Partition::ends() const {
  state_->log->require_usable();
  return state_->ends();
}

void Partition::sync() {
  state_->log->require_usable();
  if (state_->is_writable()) state_->sync();
}

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
