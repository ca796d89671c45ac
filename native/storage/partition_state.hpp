#pragma once
// Everything behind a Partition. Split over append.cpp (the write path), recovery.cpp (opening),
// sync.cpp (what is durable), partition.cpp (ends, waiting), partition_producer.cpp and
// partition_reader.cpp.
//
// Owned by the Partition and its readers; Log holds all of its partitions until it is closed.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.hpp"
#include "storage/control_page.hpp"
#include "storage/file_lock.hpp"
#include "storage/fork_guard.hpp"
#include "storage/log.hpp"
#include "storage/log_shared.hpp"
#include "storage/segment_set.hpp"
#include "storage/transaction_tracker.hpp"

namespace pystream::storage {

// How far ahead offsets are leased: enough that the sync of a renewal does not count, whatever the
// size of batches.
inline constexpr int64_t kLeaseOffsets = int64_t{1} << 20;
inline constexpr int64_t kLeaseBatches = 256;

class TimeLookup;
struct StoredBatch;

struct Partition::State : Syncable, std::enable_shared_from_this<Partition::State> {
  // Opens, creates or recovers the partition's files.
  State(std::shared_ptr<LogShared> log, const PartitionOptions& options);
  // Opens them to sync what others appended, and changes nothing else. Throws kUnknownTopic when
  // they would have to be made or recovered first.
  State(std::shared_ptr<LogShared> log, std::shared_ptr<const PartitionPlace> place);
  ~State() override;

  // --- recovery.cpp ---
  // `mends`: also finishes what a dead process began, which takes the append lock.
  bool try_open_current(bool mends = true);
  void open_under_lock();
  // For a read-only log that needs recovery: what is recovered stays in this process's memory.
  void open_in_memory();
  uint32_t last_incarnation();

  // --- retention.cpp ---
  // The log start offset that stands beside the lease, when the page does not say it yet: who
  // raised it was killed in between, or is at it.
  std::optional<int64_t> unfinished_log_start() const;
  // Under the lock: does what is left of it, so that all find the same from now on, as another boot
  // would.
  void finish_deletion();

  // --- append.cpp ---
  // `marker`: what the batch says, which is appended only where that transaction is open; else the
  // result's base_offset is -1.
  AppendResult append(EncodedBatch* batch, Acks acks, ProducerState* producer,
                      const TransactionMarker* marker = nullptr);
  // As append(), without waiting for a sync, nor asking for one.
  AppendResult publish(EncodedBatch* batch, Acks acks, ProducerState* producer,
                       const TransactionMarker* marker);

  // --- partition_producer.cpp ---
  // Shows `producer`, which is followed, what was published since it was last here.
  void catch_up(ProducerState& producer, const PublishedState& published);
  bool holds(const ProducerPosition& position, const PublishedState& published);
  // A batch that is not remembered; nothing when compaction, deletion or damage took it.
  std::optional<StoredBatch> find_stored(ProducerState& producer, int64_t sequence);

  // --- partition_transactions.cpp ---
  // Visits the batches from `offset` on, and damage (without a segment where that is missing),
  // until `visit` says false; returns the offset behind the last one, or the end of what is
  // published. `leave` is called at the end of each segment.
  int64_t walk_batches(int64_t offset, const PublishedState& published,
                       const std::function<bool(Segment*, const BatchEntry&)>& visit,
                       const std::function<void(Segment&)>& leave = nullptr);
  // Whether the transaction has batches here and no marker behind them.
  bool has_open_transaction(int64_t transaction_id, const PublishedState& published);
  int64_t last_stable_offset();
  std::vector<OpenTransaction> open_transactions();
  void note_stable(int64_t begin, const PublishedState& published, uint16_t flags) noexcept;

  // --- sync.cpp ---
  // Makes all below `end_offset` durable, by a sync of its own or of anyone else; false when
  // timeout_us passed before.
  bool sync_to(int64_t end_offset, int64_t timeout_us);
  // As sync_to() within the log's lock timeout. Throws kRequestTimeout, naming the pid of the
  // process that has been syncing all the while.
  void require_durable(int64_t end_offset);
  [[noreturn]] void throw_sync_timeout() const;
  // Syncs everything published so far.
  void sync();
  void sync_in_background() noexcept override;
  bool needs_sync() const noexcept override;
  // Syncs in the background, at the latest one interval from now.
  void request_sync();
  // Syncs one segment, whatever is published of it. Under the append lock.
  void sync_segment(Segment& segment);
  // Runs `action` when no one else syncs. Throws kRequestTimeout.
  void with_flush_lock(const std::function<void()>& action);
  // Throws kStorage when a sync has failed.
  void require_sound() const;

  // Syncs one segment, whatever is published of it, unless someone else syncs.
  void try_sync_segment(Segment& segment);

  // --- retention.cpp ---
  // Removes the segments that lie below the log start offset as a whole.
  RemovalResult remove_below_start();

  // --- prewrite.cpp ---
  // Has zeros written in the background, when there are few behind the end. After a durable commit.
  void request_prewrite();
  // Writes and syncs up to `most_bytes` of them now. Throws kStorage.
  void prewrite(int64_t most_bytes);

  // --- partition.cpp ---
  PartitionEnds ends() const;
  // What is published, in the incarnation that this object was opened in; kStorage in a later one.
  PublishedState read_published() const;
  bool is_writable() const { return !log->options.read_only; }
  // The limit of a walk through `segment`, given what is published.
  WalkLimit walk_limit(Segment& segment, const PublishedState& published);
  // After the log was closed to appends: waits for the last one, syncs what this process appended,
  // and gives back what the lease holds beyond the log's end, so that no offset is skipped later.
  void finish_appends();
  void return_lease();
  // Releases descriptors; readers and batches go on living.
  void close_files();
  [[noreturn]] void throw_lock_timeout() const;

  // --- in_place.cpp ---
  // Whether it has no directory: nobody ever opened it for writing, or its topic was deleted.
  bool is_absent() const;
  // Base offsets of its segment files; none where nobody ever opened it for writing, and so it has
  // no directory.
  std::vector<int64_t> listed_segments() const;
  // Whether its topic was deleted, here or by another process: then there is nothing left to sync.
  bool is_deleted() const;
  // Somebody will find a control page or a lock that was not there before.
  void note_made_file();
  // Throws when page or lock are not the files any more that others open by their names: someone
  // removed or replaced them while the partition was open, and who opened it since knows nothing of
  // this object, nor this object of them. kUnknownTopic when the topic was deleted. Under the
  // append lock.
  void require_in_place();
  // The same of the page, for who waits for it to change; of a deleted topic nothing more comes.
  void require_page_in_place() const;
  // The same of the segment that is written, by its descriptor. Before a sync is believed.
  void require_in_place(Segment& written) const;

  // What the next append uses.
  struct AppendSchema {
    uint32_t id = 0;
    SchemaPtr schema;
  };
  AppendSchema append_schema() const;
  int64_t segment_bytes() const;

  // --- partition_schema.cpp ---
  // Takes note of a schema of the topic: the widest known one is what appends use. False when
  // neither it nor the present one extends the other.
  bool learn_schema(uint32_t id, const SchemaPtr& schema);
  // Whether a batch of that schema id may be appended: it was of the topic at some time.
  bool is_known_schema(uint32_t id) const;
  // Under which a batch of a segment with that schema is read: the widest known one.
  SchemaPtr reading_schema(uint32_t id, const SchemaPtr& stored);

  // Constant after construction.
  const std::shared_ptr<LogShared> log;
  std::shared_ptr<const PartitionPlace> place;
  uint32_t incarnation = 0;
  RecoveryReport report;
  uint32_t pid = 0;

  ControlPage control;
  FileIdentity control_file;  // of no file: in the memory of this process
  PartitionLock lock;
  std::unique_ptr<ForkGuard> fork_guard;
  std::unique_ptr<SegmentSet> segments;
  std::unique_ptr<TimeLookup> times;

  mutable std::mutex options_mutex;
  PartitionOptions options;          // guarded by options_mutex; only the schema ever changes
  std::vector<uint32_t> schema_ids;  // guarded by options_mutex; all that were learned
  std::atomic<uint32_t> schema_changes{0};  // rises with every change of options.schema

  // Under the partition's lock.
  std::shared_ptr<Segment> active;
  std::vector<iovec> parts;
  int64_t files_seen = -1;  // OrderFile::Words::files_made when they were in place

  std::atomic<bool> has_appended{false};

  std::mutex transactions_mutex;      // taken after the append lock
  TransactionTracker transactions;    // guarded by it
  uint64_t transactions_changes = 0;  // guarded by it: of the segments that were followed

  std::atomic<bool> is_sync_requested{false};
  std::atomic<bool> is_prewrite_requested{false};
  // The last background sync could not begin: the next append waits for one, or says why not.
  std::atomic<bool> is_sync_postponed{false};

 private:
  State(std::shared_ptr<LogShared> log, const PartitionOptions& options,
        std::shared_ptr<const PartitionPlace> place);
  void follow_transactions(const PublishedState& published);
  void follow_segments(const PublishedState& published);
  bool is_all_stable(const PublishedState& published) const;
  void raise_stable(int64_t stable);
  bool is_durable(int64_t end_offset) const;
  void sync_published();
  void sync_directories(bool is_new);
  int64_t prewritten_end(const PublishedState& published) const;
  bool prewrite_piece(int64_t most_bytes, std::shared_ptr<Segment>* written);
  void prewrite_in_background() noexcept;
  [[noreturn]] void throw_not_begun(const Error& error) const;
  [[noreturn]] void fail_sync(const Error& error);
};

// Throws kConfig for a schema that no segment can hold.
void check_schema(const std::string& partition, const SchemaPtr& schema);

// Holds the partition's append lock for a scope.
class AppendLock {
 public:
  // Throws kRequestTimeout, naming the holder's pid, and as require_in_place().
  explicit AppendLock(Partition::State& state);
  // Does not hold it when the timeout passed.
  AppendLock(Partition::State& state, int64_t timeout_us);
  ~AppendLock() {
    if (is_held_) state_.lock.release();
  }
  AppendLock(const AppendLock&) = delete;
  AppendLock& operator=(const AppendLock&) = delete;

  bool is_held() const { return is_held_; }

 private:
  Partition::State& state_;
  const bool is_held_;
};

// Visits the partitions that have a directory under the log's `directory`, until `visit` says
// false. Their topics' names are not known there: the place is named by the topic's id. Throws
// kStorage when the system refuses to list them.
void visit_places(const std::shared_ptr<FileLayer>& files, const std::string& directory,
                  const std::function<bool(std::shared_ptr<const PartitionPlace>)>& visit);

// One above the largest append sequence that the partitions under `directory` hold, or 1.
uint64_t find_next_sequence(const std::shared_ptr<FileLayer>& files, const std::string& directory);

}  // namespace pystream::storage
