#pragma once
// What one partition holds of one producer: what makes sending a record again harmless.
//
// A producer without a name is known by its own process alone, so its state is a counter. One with
// a name may have written from other processes: its state follows the headers that were published
// since, and the catalog keeps where that walk may begin.
//
// Owned by the writer that appends; used under the partition's lock, but for what says otherwise.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/format.hpp"

namespace pystream::storage {

struct EncodedBatch;
struct ParsedHeader;

// Who appends.
struct ProducerIdentity {
  int64_t id = -1;  // random, 62 bits
  int32_t epoch = 0;
  std::string name;  // empty: without one
  // Its batches belong to transactions, which take the place of sequences that are known again.
  bool is_transactional = false;

  bool is_named() const { return !name.empty() && !is_transactional; }
};

// A random producer id.
int64_t random_producer_id();

// What was known of a producer with a name, and up to where its partition had been read for it.
struct ProducerPosition {
  int64_t next_offset = kUnused;
  uint32_t incarnation = 0;  // of the partition, at that time
  int64_t last_sequence = -1;
  int64_t complete_sequence = -1;  // all sequences of the topic up to it are stored

  // The producer never appended there.
  static constexpr int64_t kUnused = -1;
};

// The sequences of a batch that is about to be appended or was found.
struct SequenceRange {
  int64_t first = -1;
  int64_t last = -1;
  int64_t complete = -1;  // what the batch says of all partitions; -1: nothing

  static SequenceRange of(const ParsedHeader& parsed);
  static SequenceRange of(const EncodedBatch& batch);
};

// A batch of a named producer, and which of its records are in it.
struct StoredBatch {
  int64_t first_sequence = 0;
  int64_t last_sequence = 0;
  int64_t base_offset = 0;
  int64_t record_count = 0;

  bool is_dense() const { return last_sequence - first_sequence + 1 == record_count; }
};

class ProducerState {
 public:
  // How many of a producer's last batches in a partition are remembered: for a record that is sent
  // again and is in an older one, the partition is searched.
  static constexpr size_t kRememberedBatches = 64;

  // How far the search for older batches has come: programs send again in order, so the next goes
  // on there.
  struct Search {
    int64_t next_offset = 0;
    int64_t next_sequence = 0;  // from next_offset on are no batches of the producer below it
  };

  explicit ProducerState(const ProducerIdentity& identity, const ProducerPosition& position = {});

  const ProducerIdentity& identity() const { return identity_; }
  // Whether what others publish concerns it.
  bool is_followed() const { return identity_.is_named() || identity_.is_transactional; }
  // Of a transactional producer, between two transactions.
  void set_epoch(int32_t epoch);

  // --- Following the partition ---

  int64_t next_offset() const { return next_offset_; }
  void advance(int64_t next_offset) { next_offset_ = next_offset; }
  // A batch of any producer, in offset order.
  void see(const ParsedHeader& parsed);
  // What a compacted segment says of producers whose batches may be gone from it.
  void see_compacted(const CompactedProducer& producer);
  // The partition has this incarnation now. When it rises, the partition was recovered, and what
  // was not durable may be gone.
  void see_incarnation(uint32_t incarnation);

  // --- Appending ---

  // Throws kFenced when a batch of a newer epoch was seen.
  void require_current(const std::string& partition) const;
  // The largest sequence stored in this partition; -1: none.
  int64_t last_sequence() const { return last_sequence_; }
  // Of the next record, without a name.
  int64_t next_sequence() const { return last_sequence_ + 1; }
  // The batch was published there. Never throws.
  void appended(const EncodedBatch& batch, int64_t base_offset);

  // --- Asking; no one may append meanwhile ---

  // Up to which all sequences of the topic are stored, as far as this partition tells.
  int64_t complete_sequence() const { return complete_sequence_; }
  // The last sequence that surely survived each recovery which was seen; INT64_MAX: none was seen.
  // What batches said about others before it is to be believed only up to here.
  int64_t surviving_sequence() const { return surviving_sequence_; }
  ProducerPosition position() const;
  // The batch that holds a sequence which is stored, if it is remembered.
  const StoredBatch* find(int64_t sequence) const;
  Search& search() { return search_; }

 private:
  void remember(const SequenceRange& range, int64_t base_offset, int64_t record_count);

  ProducerIdentity identity_;  // only the epoch ever changes
  int32_t largest_epoch_;
  int64_t next_offset_;
  uint32_t incarnation_;
  int64_t last_sequence_;
  int64_t complete_sequence_;
  int64_t surviving_sequence_ = INT64_MAX;
  std::vector<StoredBatch> remembered_;  // a ring; allocated ahead
  size_t remembered_count_ = 0;          // ever
  Search search_;
};

}  // namespace pystream::storage
