#pragma once
// The log: a directory of partitions that several processes share. This header is the manual of
// the storage room; see docs/formats/ for the bytes.
//
//   DIR/order                                  mapped: log id, boot id, append-sequence counter
//   DIR/topics/<topic id>/<partition>/control  mapped: published end, in-flight mark, wake word
//   DIR/topics/<topic id>/<partition>/lock     the append lock (OFD)
//   DIR/topics/<topic id>/<partition>/<base offset>.seg
//
// (DIR/catalog.db belongs to pystream/log; the core never needs it.)
//
// Lifetime: a Log is closed when its last reference goes; its partitions and readers do not keep it
// open, and say kClosed from then on.
//
// Threads: Log and Partition may be used from any thread. A PartitionReader belongs to one thread
// at a time. Batches and their buffers outlive all of them: the segment stays mapped until the last
// view is gone.
//
// Crash: a writer killed at any instruction leaves nothing to repair. See append().

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/futex.hpp"
#include "columns/schema.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log_batch.hpp"
#include "storage/producer_state.hpp"
#include "storage/transaction_tracker.hpp"

namespace pystream::storage {

enum class Acks : uint8_t {
  kPublished,  // survives kill -9 of any process
  kInterval,  // plus power loss, except what was appended since the last sync (at most interval_us)
  kDurable,   // plus power loss
};

class FileLayer;
class TailWatch;

struct LogOptions {
  // Nothing is written, not even to recover after another boot or in a copy: that happens in
  // memory, and what others append later to such a log is not seen. A partition that does not
  // exist yet is empty.
  bool read_only = false;
  int64_t sync_interval_us = 50'000;
  int64_t lock_timeout_us = 30'000'000;  // then kRequestTimeout naming the pid of the lock's holder
  // Up to so many bytes of zeros are written behind the end of a partition after a durable commit,
  // in the background, which makes the next ones faster; 0: none.
  int64_t prewrite_bytes = 0;
  std::shared_ptr<FileLayer> files;          // null: the operating system's
  std::shared_ptr<const ManualClock> clock;  // of append times; null: the wall clock
};

struct TopicId {
  uint8_t bytes[16];
};

struct PartitionOptions {
  std::string topic;  // for messages
  TopicId topic_id{};
  int32_t partition = 0;
  int64_t segment_bytes = int64_t{256} << 20;
  uint32_t schema_id = 0;  // of `schema`; appends of another schema id roll a segment
  SchemaPtr schema;        // what appends use
};

struct AppendResult {
  int64_t base_offset = 0;
  int64_t append_time_us = 0;
  uint64_t append_sequence = 0;
  // Not -1: nothing was appended, because records of the batch's producer up to this sequence are
  // in the partition already and the batch has some of them. Append those above it.
  int64_t duplicates_up_to = -1;
};

struct PartitionEnds {
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;  // next offset to be written
  int64_t durable_offset = 0;  // all below are synced
};

// A segment from the log start on, as far as retention asks.
struct SegmentFacts {
  int64_t base_offset = 0;
  int64_t end_offset = 0;      // base offset of the next; of the active one: the log end offset
  int64_t bytes = 0;           // of its file
  int64_t last_append_us = 0;  // largest append time in it; INT64_MIN: no batch can be read
  bool is_active = false;
};

// What was removed.
struct RemovalResult {
  int64_t log_start_offset = 0;
  int64_t segments = 0;
  int64_t bytes = 0;  // of their files
};

struct CompactionOptions {
  std::vector<int> key_columns;  // indexes of fields; at least one
  int64_t now_us = 0;
  int64_t delete_retention_us = 0;    // how long tombstones are kept once their segment is compact
  int64_t min_compaction_lag_us = 0;  // how long after its append a record is surely kept
  // Nothing is done while less of the bytes than this is in segments that were never compacted.
  double min_cleanable_ratio = 0;
  // About so much memory for keys; with more of them it takes several passes.
  int64_t most_key_bytes = int64_t{128} << 20;
};

// What a compaction did.
struct CompactionResult {
  int64_t segments = 0;         // files that were replaced
  int64_t removed_records = 0;  // superseded, aborted and deleted ones, and markers
  int64_t bytes_before = 0;     // of the files that were replaced
  int64_t bytes_after = 0;
};

// A record that was looked for by time.
struct OffsetAndTime {
  int64_t offset = 0;
  int64_t time = 0;  // of the record
};

// What opening the partition had to do. kRecovered happens after a power loss or a failed sync, in
// a copied directory, or when the control page is missing or damaged.
struct RecoveryReport {
  enum class Kind : uint8_t { kNone, kCreated, kRecovered } kind = Kind::kNone;
  int64_t log_end_offset = 0;   // as recovered
  int64_t torn_bytes = 0;       // of an incomplete tail above the durable offset, now ignored
  int64_t corrupt_records = 0;  // offsets below the durable offset that cannot be read
};

// What a backup of a partition holds.
struct BackupResult {
  int64_t log_end_offset = 0;
  int64_t linked_bytes = 0;  // of segments that both logs share on disk
  int64_t copied_bytes = 0;
  // A compaction that began behind the cut may have removed records for others that are not in the
  // backup: it is to be made again, with a new cut.
  bool is_outdated = false;
};

class Log;
class Partition;
class PartitionVerifier;

// What a reader does about records that cannot be read.
enum class OnCorruption : uint8_t {
  kRaise,  // kCorruptRecord, at the latest when a damaged column is read; the position stays
  kSkip,   // every batch is verified in full before it is handed out, and damage is stepped over
};

// Which batches a reader is given.
enum class Isolation : uint8_t {
  kEverything,       // also control batches: for tools
  kReadUncommitted,  // all records
  kReadCommitted,    // those of transactions only once they were committed; stops at the first
                     // batch of one that is not decided
};

// Where a reader with kReadCommitted has stopped.
struct Undecided {
  int64_t transaction_id = -1;
  int64_t offset = 0;            // of its batch
  uint64_t append_sequence = 0;  // of its batch
  int64_t end_offset = 0;        // its marker is not below; wait for what comes there
};

// Records that a reader with OnCorruption::kSkip stepped over: [offset, next_offset).
struct SkippedRange {
  int64_t offset = 0;
  int64_t next_offset = 0;
  int64_t position = 0;  // of the damage in the file
  std::string path;
};

// Reads the batches of one partition in offset order, from mapped memory, without locks.
class PartitionReader {
 public:
  ~PartitionReader();

  // kRaise at first. Verification is remembered: once per batch and process.
  void set_on_corruption(OnCorruption policy);
  // kEverything at first. What is left out moves the position as if it had been handed out.
  void set_isolation(Isolation isolation);
  // Why the last next() or peek() gave nothing, when a transaction is the reason.
  std::optional<Undecided> undecided() const;
  // What was stepped over since the last call, in order.
  std::vector<SkippedRange> take_skipped();

  // The batch that holds position(), which then becomes its next_offset(); nullopt at the end of
  // what is published. The first batch may begin before a seek target: the caller slices.
  // Throws kCorruptRecord (position unchanged; the facts offset and next_offset say what is lost,
  // and a seek to the latter goes on behind it), kOffsetOutOfRange.
  std::optional<LogBatch> next();
  // As next(), without moving.
  std::optional<LogBatch> peek();
  int64_t position() const;
  // Any offset in [log start, log end]; kOffsetOutOfRange otherwise, naming both ends.
  void seek(int64_t offset);
  Partition& partition() const;

 private:
  friend class Partition;
  struct State;
  explicit PartitionReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Partition : public std::enable_shared_from_this<Partition> {
 public:
  struct State;  // the room's own
  ~Partition();

  // Appends one batch: kernel lock -> stamp -> pwrite of batch and terminator -> publish -> unlock
  // -> wake readers -> for kDurable, as sync_to(). Stamps `batch` in place, so that it is used
  // once. On any error before the publish nothing was appended (a full disk is kStorage with ENOSPC
  // and the log stays readable and writable later). An error of the sync leaves the batch published
  // and unacknowledged: kStorage when it failed, kRequestTimeout when another process holds it up.
  //
  // `producer`: of this partition, the one that the batch was encoded for; null for a batch without
  // one. A batch of a fenced producer is kFenced and nothing was appended.
  AppendResult append(EncodedBatch* batch, Acks acks, ProducerState* producer = nullptr);

  // What the partition holds of a producer. One without a name is new. One with a name is read from
  // `position` on, which the catalog has kept.
  std::unique_ptr<ProducerState> open_producer(const ProducerIdentity& identity,
                                               const ProducerPosition& position = {});
  // The offsets of records that are stored, by their sequences, ascending; -1 where it is not
  // there any more: deleted, compacted, damaged.
  std::vector<int64_t> stored_offsets(ProducerState& producer, std::span<const int64_t> sequences);

  // Appends the marker of a transaction where it is open: has batches, and no marker yet. Gives its
  // offset, or nullopt where there was nothing to do. So it may be called by anyone, any number of
  // times. Errors as of append().
  std::optional<int64_t> end_transaction(const TransactionMarker& marker, Acks acks);
  // The transactions that have no marker yet, by their first offset.
  std::vector<OpenTransaction> open_transactions();
  // The offset below which all transactions are decided: the log end offset when none is open.
  // Costs nothing then, else a walk of the headers behind the first open one.
  int64_t last_stable_offset();

  PartitionEnds ends() const;
  // Blocks until there is a record at or behind `offset`; false on timeout. Releases nothing: call
  // without the GIL.
  bool wait(int64_t offset, int64_t timeout_us) const;
  std::unique_ptr<PartitionReader> reader(int64_t offset);
  // The first record, from the log start on, whose value in a column is `value` or later;
  // kTimestampColumn: whose timestamp is. The column is of type timestamp, date32 or int64, and
  // nulls are no time. Records that cannot be read are stepped over. Takes time logarithmic in
  // segments and batches, once what the segments hold is known to this process.
  std::optional<OffsetAndTime> find_time(uint16_t column, int64_t value);
  // --- Retention (retention.cpp) ---

  std::vector<SegmentFacts> segment_facts();
  // Raises the log start offset, durably: no record below it is read any more, now and after any
  // crash. Then removes the segments that lie below it as a whole, but for the active one. Views
  // stay valid. Throws kOffsetOutOfRange for an offset above the log end offset, kStorage; nothing
  // comes back that was below the log start offset when it throws.
  RemovalResult delete_records(int64_t offset);
  // Lets the next append begin a new segment. False when it does so already, or nothing is there.
  bool end_segment();
  // Of segments that are made from now on, by this object.
  void set_segment_bytes(int64_t bytes);
  // Replaces sealed segments whose records are durable and decided by ones that have the last
  // record of each key (compaction.cpp). One caller at a time, of all processes. Readers, views and
  // appends may go on. Throws kCorruptRecord when records in these segments cannot be read, and
  // then nothing was replaced; kStorage.
  CompactionResult compact(const CompactionOptions& options);
  // Bytes of files that were removed and that views, readers or caches in this process keep.
  int64_t pinned_bytes();

  // Syncs everything published so far.
  void sync();
  // Waits until everything below `end_offset` is durable; false when timeout_us passed before.
  // Threads and processes that wait together share one sync. Throws kStorage when a sync failed:
  // the partition then takes no appends until it is opened anew, and goes on from its durable
  // offset. Releases nothing: call without the GIL.
  bool sync_to(int64_t end_offset, int64_t timeout_us);
  // Writes zeros behind the end now, and syncs them, as LogOptions::prewrite_bytes says. Throws
  // kStorage.
  void prewrite(int64_t most_bytes);
  // How long append() waits for durability, and the error that it then throws.
  int64_t sync_timeout_us() const;
  [[noreturn]] void throw_sync_timeout() const;

  // Copies everything with an append sequence below `cut` (see Log::cut) into `directory`, which
  // must be empty, as a partition of another log; appends may go on. Sealed segments become hard
  // links where the filesystem allows. What is written is synced. Throws kStorage.
  BackupResult backup(const std::string& directory, uint64_t cut);

  // What open_partition() of this object found. Constant.
  const RecoveryReport& recovery() const;
  PartitionOptions options() const;
  // Says that the topic has (or once had) this schema; of those that were named, each extends the
  // one before, or kSchema is thrown. The widest one is options().schema. The next append rolls a
  // segment when the active one has a narrower schema; batches of the narrower ones may be appended
  // for ever. What readers find in segments is learned too. Batches are handed out under the widest
  // schema known: columns that they lack are null.
  void set_schema(uint32_t schema_id, SchemaPtr schema);

 private:
  friend class Log;
  friend class TailWatch;
  friend class PartitionVerifier;
  explicit Partition(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// For reading several partitions in append order (design section 4, "Order across partitions").
struct OrderFrontier {
  // Every batch with append_sequence < frontier is published and visible, on every partition given.
  uint64_t frontier = 0;
  std::vector<int64_t> log_end_offsets;  // of the partitions, read after `frontier`
};

class Log : public std::enable_shared_from_this<Log> {
 public:
  // Opens or creates the log's own files in `directory` (which must exist). Throws kLog when the
  // directory holds something else, a newer format (naming both versions), is on a network file
  // system, or is being repaired; kStorage without permission.
  static std::shared_ptr<Log> open(const std::string& directory, const LogOptions& options = {});
  ~Log();

  // One Partition object per partition and Log; recovers it when it is first opened after a
  // power loss, creates it when it does not exist.
  std::shared_ptr<Partition> open_partition(const PartitionOptions& options);

  // What is visible in append order right now. `partitions` must be of this log.
  OrderFrontier frontier(std::span<const std::shared_ptr<Partition>> partitions) const;
  // Whether no append is in flight on these partitions: then every batch that is published on them
  // later has an append time that is read later.
  bool is_quiet(std::span<const std::shared_ptr<Partition>> partitions) const;
  // A moment of the log, as an append sequence: all smaller ones are published on these
  // partitions, and every batch that was published before the call has a smaller one. Waits for
  // appends that are in flight, as long as for a lock; then kRequestTimeout.
  uint64_t cut(std::span<const std::shared_ptr<Partition>> partitions) const;
  // Blocks until any partition has a record at or behind its offset, or `interrupt` (may be null;
  // of a TailWatch) has changed; false on timeout.
  bool wait_any(std::span<const std::shared_ptr<Partition>> partitions,
                std::span<const int64_t> offsets, int64_t timeout_us,
                const FutexWait* interrupt = nullptr) const;
  // A new watch: waiting for partitions of this log in an event loop (see tail_watch.hpp).
  std::shared_ptr<TailWatch> tail_watch() const;

  // Syncs what this process appended, stops the sync thread. Further calls on the log and its
  // partitions throw kClosed; existing batches stay valid. Idempotent.
  void close();
  bool is_closed() const;
  // Compactions that are under way end behind the segment that they are at, and no other begins:
  // the log is about to be closed.
  void stop_compactions();
  // What an append now would take for its append time; microseconds since 1970.
  int64_t clock_us() const;
  const std::string& directory() const;

 private:
  struct State;
  explicit Log(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace pystream::storage
