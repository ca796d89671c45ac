#include "storage/log.hpp"

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/filesystem.hpp"
#include "storage/partition_state.hpp"
#include "storage/take_over.hpp"
#include "storage/wait.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSmallestSegmentBytes = 4096;
constexpr auto kCutPause = std::chrono::microseconds(100);

using PartitionKey = std::pair<std::string, int32_t>;

PartitionKey key_of(const PartitionOptions& options) {
  return {std::string(reinterpret_cast<const char*>(options.topic_id.bytes),
                      sizeof(options.topic_id.bytes)),
          options.partition};
}

// What was lost is said of every partition, not of the first alone.
Error with_names(const Error& error, const std::vector<std::string>& failed_too) {
  if (failed_too.empty()) return error;
  std::string names;
  for (const std::string& name : failed_too) names += (names.empty() ? "" : ", ") + name;
  return Error(
      error.code(),
      std::string(error.what()) + " Closing failed for these partitions too: " + names + ".",
      error.facts());
}

void check_options(const PartitionOptions& options) {
  check_schema(options.topic + "-" + std::to_string(options.partition), options.schema);
  if (options.partition < 0) {
    throw Error(ErrorCode::kConfig, "partition " + std::to_string(options.partition) + " of " +
                                        options.topic +
                                        " is negative. Partitions are numbered from 0.");
  }
  if (options.segment_bytes < kSmallestSegmentBytes || options.segment_bytes > kMaxSegmentBytes) {
    throw Error(ErrorCode::kConfig, "segment_bytes of " + options.topic + " is " +
                                        std::to_string(options.segment_bytes) +
                                        ". It must be from " +
                                        std::to_string(kSmallestSegmentBytes) + " to " +
                                        std::to_string(kMaxSegmentBytes) + ".");
  }
}

std::string without_trailing_slashes(std::string directory) {
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  return directory;
}

}  // namespace

void check_schema(const std::string& partition, const SchemaPtr& schema) {
  if (schema && static_cast<int64_t>(schema->serialize().size()) <= kMaxSchemaBytes) return;
  throw Error(ErrorCode::kConfig,
              partition + (schema ? " has a schema of more than 4 MiB. Use fewer or shorter names."
                                  : " has no schema. Pass one."));
}

void LogShared::throw_closed() const {
  throw Error(ErrorCode::kClosed, "the log in " + directory + " is closed. Open it again.",
              {{"path", directory}});
}

void LogShared::throw_forked() const {
  throw Error(ErrorCode::kLog,
              "the log in " + directory +
                  " was opened before this process was forked. Open it again in the child.",
              {{"path", directory}});
}

struct Log::State {
  std::shared_ptr<LogShared> shared;
  std::mutex mutex;
  std::map<PartitionKey, std::shared_ptr<Partition>> partitions;  // guarded by mutex
};

Log::Log(std::shared_ptr<State> state) : state_(std::move(state)) {}

Log::~Log() {
  if (state_->shared->is_forked()) {
    // Threads and waiters of the parent do not exist here, and their mutexes may be locked for
    // ever: what belongs to them is left alone, as long as the process lives.
    static_cast<void>(new std::shared_ptr<State>(std::move(state_)));
    return;
  }
  try {
    close();
  } catch (const Error&) {
    // A destructor cannot report; close() can.
  }
}

std::shared_ptr<Log> Log::open(const std::string& directory, const LogOptions& options) {
  auto shared = std::make_shared<LogShared>(without_trailing_slashes(directory), options);
  shared->files = options.files ? options.files : std::make_shared<FileLayer>();
  require_local_filesystem(*shared->files, shared->directory);
  checked(shared->files->boot_id(&shared->boot), "cannot read the boot id of",
          std::string("this machine"));
  const auto recover_sequence = [&] {
    return find_next_sequence(shared->files, shared->directory);
  };
  shared->order =
      OrderFile::open(shared->files, shared->directory, shared->boot, options, recover_sequence);
  auto state = std::make_shared<State>();
  state->shared = std::move(shared);
  std::shared_ptr<Log> log(new Log(std::move(state)));
  if (!options.read_only) watch_pledges(log->state_->shared);
  return log;
}

std::shared_ptr<Partition> Log::open_partition(const PartitionOptions& options) {
  state_->shared->require_usable();
  check_options(options);
  std::lock_guard guard(state_->mutex);
  state_->shared->require_usable();
  const PartitionKey key = key_of(options);
  if (const auto found = state_->partitions.find(key); found != state_->partitions.end()) {
    return found->second;
  }
  auto source = std::make_shared<Partition::State>(state_->shared, options);
  if (source->is_writable()) state_->shared->sync_thread.watch(source);
  std::shared_ptr<Partition> partition(new Partition(std::move(source)));
  state_->partitions.emplace(key, partition);
  return partition;
}

OrderFrontier Log::frontier(std::span<const std::shared_ptr<Partition>> partitions) const {
  state_->shared->require_usable();
  OrderFrontier result;
  // Whoever takes a smaller sequence than this held a partition's lock when it was read here, and
  // had set its mark before. So a lock that is free at any later moment hides no such writer: its
  // mark was left by a dead one.
  const uint64_t counter = state_->shared->order.counter().load(std::memory_order_seq_cst);
  result.frontier = counter;
  for (const auto& partition : partitions) {
    const Partition::State& source = *partition->state_;
    const uint64_t mark = source.control.words().in_flight.load(std::memory_order_seq_cst);
    if (mark == kNotInFlight || mark >= result.frontier || source.lock.is_free()) continue;
    result.frontier = mark;
  }
  result.log_end_offsets.reserve(partitions.size());
  for (const auto& partition : partitions) {
    result.log_end_offsets.push_back(partition->state_->read_published().log_end_offset);
  }
  return result;
}

bool Log::is_quiet(std::span<const std::shared_ptr<Partition>> partitions) const {
  state_->shared->require_usable();
  // A writer sets its mark before it reads the clock. A mark under a free lock is a dead one's.
  return std::all_of(partitions.begin(), partitions.end(), [](const auto& partition) {
    const Partition::State& source = *partition->state_;
    return source.control.words().in_flight.load(std::memory_order_seq_cst) == kNotInFlight ||
           source.lock.is_free();
  });
}

uint64_t Log::cut(std::span<const std::shared_ptr<Partition>> partitions) const {
  state_->shared->require_usable();
  const uint64_t cut = state_->shared->order.counter().load(std::memory_order_seq_cst);
  const int64_t deadline_us = monotonic_us() + state_->shared->options.lock_timeout_us;
  while (frontier(partitions).frontier < cut) {
    if (monotonic_us() >= deadline_us) {
      throw Error(ErrorCode::kRequestTimeout,
                  "an append to the log in " + directory() + " has been in flight for more than " +
                      std::to_string(state_->shared->options.lock_timeout_us / 1'000) +
                      " ms. See whether the process that makes it is stopped.",
                  {{"path", directory()}});
    }
    std::this_thread::sleep_for(kCutPause);
  }
  return cut;
}

bool Log::wait_any(std::span<const std::shared_ptr<Partition>> partitions,
                   std::span<const int64_t> offsets, int64_t timeout_us,
                   const FutexWait* interrupt) const {
  state_->shared->require_usable();
  std::vector<std::shared_ptr<Partition::State>> states;
  states.reserve(partitions.size());
  for (const auto& partition : partitions) states.push_back(partition->state_);
  return wait_for_any(states, offsets, interrupt, timeout_us);
}

std::shared_ptr<TailWatch> Log::tail_watch() const {
  state_->shared->require_usable();
  return std::make_shared<TailWatch>(state_->shared->tail_thread);
}

void Log::close() {
  LogShared& shared = *state_->shared;
  if (shared.is_forked()) return;  // it is the parent's to close
  std::lock_guard guard(state_->mutex);
  // Appends look at the flag under their partition's lock, which finish_appends() takes too.
  if (shared.is_closed.exchange(true)) return;
  shared.tail_thread->stop();
  shared.sync_thread.stop();
  std::optional<Error> failure;
  std::vector<std::string> failed_too;
  for (const auto& [key, partition] : state_->partitions) {
    try {
      partition->state_->finish_appends();
    } catch (const Error& error) {
      const bool is_missed = !partition->state_->is_deleted();
      if (is_missed && failure) failed_too.push_back(partition->state_->place->name());
      if (is_missed && !failure) failure = error;
    }
    if (partition->state_->is_writable()) partition->state_->control.wake();  // they see the flag
    partition->state_->close_files();
  }
  state_->partitions.clear();
  shared.pledges.close(!failure);
  shared.order.end_use();
  if (failure) throw with_names(*failure, failed_too);
}

bool Log::is_closed() const { return state_->shared->is_closed.load(std::memory_order_acquire); }

void Log::stop_compactions() {
  state_->shared->is_compaction_stopped.store(true, std::memory_order_release);
}

int64_t Log::clock_us() const { return state_->shared->clock_us(); }

const std::string& Log::directory() const { return state_->shared->directory; }

}  // namespace pystream::storage
