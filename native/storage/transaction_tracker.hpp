#pragma once
// Which transactions of a partition are not decided yet, as far as its headers were followed.
//
// A transaction is open in a partition from its first batch to its marker, the control batch that
// says that it was committed or aborted. Who decides is the catalog (docs/transactions.md); the
// core follows the markers and never needs it.
//
// Owner: the partition's state, which guards it.

#include <cstdint>
#include <vector>

#include "storage/format.hpp"

namespace pystream::storage {

// The end of a transaction, as it is written into each of its partitions.
struct TransactionMarker {
  int64_t transaction_id = -1;
  int64_t producer_id = -1;
  int32_t producer_epoch = 0;  // above that of the transaction's batches: it fences their writer
  bool is_commit = false;
};

struct OpenTransaction {
  int64_t transaction_id = -1;
  int64_t producer_id = -1;
  int32_t producer_epoch = 0;
  int64_t first_offset = 0;  // of its records, from the log start on
  int64_t end_offset = 0;    // behind the last of them that was met
  // Its marker may have stood among records that cannot be read. It holds up nobody.
  bool is_doubtful = false;
};

class TransactionTracker {
 public:
  // The first offset that was not followed.
  int64_t next_offset() const { return next_offset_; }
  void advance(int64_t next_offset) { next_offset_ = next_offset; }
  // Records below `log_start` were deleted. A transaction that has others stays open.
  void drop_below(int64_t log_start);
  // Everything below `stable` is decided.
  void pass(int64_t stable);
  // A batch, in offset order, that belongs to a transaction.
  void see(const BatchHeader& header);
  // Records that cannot be read follow here.
  void see_damage();

  const std::vector<OpenTransaction>& open() const { return open_; }
  bool is_open(int64_t transaction_id) const;
  // The last stable offset: all transactions below it are decided.
  int64_t stable_offset() const;

 private:
  int64_t next_offset_ = 0;
  std::vector<OpenTransaction> open_;  // by first offset
};

}  // namespace pystream::storage
