#pragma once
// Writes record batches to the partitions of one topic: splits rows by key, cuts what is too large
// for one stored batch, encodes and appends. Used by producers and by topic sinks.
//
// Threads: any, at the same time; for a producer with a name, one at a time. Owner: whoever writes;
// it keeps its partitions open. Crash: each append is atomic by itself; a batch that is split is
// not.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "storage/batch_limits.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

struct TopicWriterOptions {
  // Rows with equal keys go to one partition (see storage/partitioner.hpp), in their order. Rows
  // without a key go, all those of one append together, to one partition after the other.
  std::vector<int> key_columns;
  // Its schema_id is taken from the partition and its key_columns from above.
  EncodeOptions encode;
  BatchLimits limits;
  int32_t first_keyless_partition = 0;
  // Without an id: a new producer without a name. With a name, `positions` has one for each
  // partition.
  ProducerIdentity producer;
  std::vector<ProducerPosition> positions;
};

// The sequences of the records of one append, for a producer with a name.
struct RecordSequences {
  Array of_row;  // int64, rising, no nulls
  // All of the topic up to it are stored, once these are.
  int64_t complete = -1;
};

inline constexpr int32_t kPartitionByKey = -1;

struct TopicAppend {
  int32_t partition = 0;  // index among the writer's partitions
  int64_t record_count = 0;
  AppendResult result;
  // The records were there before; base_offset says where, -1: no longer known.
  bool is_duplicate = false;
  int64_t end_offset = 0;  // the records are durable when all below it is
};

// What an append published, in the order in which it happened.
struct TopicAppendResult {
  int64_t row_count = 0;                  // rows that were given
  std::vector<int32_t> partition_of_row;  // empty: all rows belong to `only_partition`
  int32_t only_partition = 0;
  std::vector<TopicAppend> appends;

  int64_t published_count() const;
  // Of those, rows that had been there before.
  int64_t duplicate_count() const;
  // The offset of each row within its partition; -1 for a row that was not published, or was there
  // before at an offset that is not known.
  std::vector<int64_t> offsets() const;
};

class TopicWriter {
 public:
  // All partitions of the topic, in order. For a producer with a name this reads what it has
  // written since `positions`.
  TopicWriter(std::vector<std::shared_ptr<Partition>> partitions, TopicWriterOptions options);

  // Appends all rows of `batch` (its schema is the topic's; `headers` may be null), by key or to
  // the given partition. Fills `result` as it goes: when it throws, `result` holds what was
  // published before, and the error has the facts "published_records" and "records". Nothing at
  // all is published when a row is too large (kRecordTooLarge), a null is where none may be
  // (kSchema) or the partition does not exist (kConfig). kDurable: appends all, then syncs.
  //
  // A producer with a name gives `sequences`; a row whose sequence is not above all that its
  // partition holds of this producer is not appended and counts as published. kFenced as
  // Partition::append.
  void append(const RecordBatch& batch, const Timestamps& timestamps, const Array* headers,
              int32_t partition, Acks acks, TopicAppendResult* result,
              const RecordSequences* sequences = nullptr);

  // Of a transactional producer: what is appended from now on belongs to this transaction. No one
  // may append meanwhile.
  void set_transaction(int64_t transaction_id, int32_t producer_epoch);

  // Throws what append() would throw before anything is published.
  void check(const RecordBatch& batch, const Array* headers) const;

  // Of a producer with a name: up to which all sequences of the topic are stored, as far as the log
  // tells, and where the next one of this name may begin to read.
  int64_t complete_sequence() const;
  std::vector<ProducerPosition> positions() const;

  // Waits until all that `result` says was appended is durable; false when timeout_us passed
  // before. When a partition cannot be synced, the others are, its appends are taken out of
  // `result`, and its error is thrown as by append().
  bool sync(TopicAppendResult* result, int64_t timeout_us);
  // How long append() waits for durability, and the error that it then throws.
  int64_t sync_timeout_us() const { return partitions_[0]->sync_timeout_us(); }
  [[noreturn]] void throw_sync_timeout(TopicAppendResult* result);

  const std::vector<std::shared_ptr<Partition>>& partitions() const { return partitions_; }
  const ProducerIdentity& producer() const { return options_.producer; }

 private:
  int32_t partition_count() const { return static_cast<int32_t>(partitions_.size()); }
  // Fills partition_of_row or only_partition.
  void assign_rows(const RecordBatch& batch, int32_t partition, const RecordSequences* sequences,
                   TopicAppendResult* result);
  struct Rows;
  void append_split(const Rows& rows, Acks acks, TopicAppendResult* result);
  void append_to(int32_t partition, const Rows& rows, Acks acks, TopicAppendResult* result);
  // Appends rows as one batch; returns how many of them, from the first on, are done.
  int64_t append_run(int32_t partition, const Rows& run, Acks acks, TopicAppendResult* result);
  // Adds those that the partition holds already, up to a sequence, to `result`; returns how many.
  int64_t answer_duplicates(int32_t partition, const Array& sequences, int64_t up_to,
                            TopicAppendResult* result);
  // Syncs every partition in turn; gives those that are not durable after timeout_us. The error of
  // a partition goes to `failures`.
  std::vector<int32_t> sync_all(const TopicAppendResult& result, int64_t timeout_us,
                                std::map<int32_t, Error>* failures);

  std::vector<std::shared_ptr<Partition>> partitions_;
  TopicWriterOptions options_;
  std::vector<std::unique_ptr<ProducerState>> producers_;  // by partition
  std::atomic<uint32_t> keyless_turn_;
};

}  // namespace pystream::storage
