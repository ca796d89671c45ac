#pragma once
// How a reader learns what became of a transaction before it hands out a batch of it: the marker
// stands behind the batch, so the reader looks ahead, from entry to entry of the segments' indexes.
// What it passes is remembered, so that it never looks at an entry twice; without transactions it
// looks at none.
//
// Owned by one reader; its thread.

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "storage/partition_state.hpp"

namespace pystream::storage {

class TransactionScan {
 public:
  // Whether the transaction of a batch was committed; nullopt when it has no marker up to the end
  // of what is published, and then the next call looks on from there.
  std::optional<bool> find(Partition::State& source, const BatchEntry& batch);
  // The reader has come to its marker.
  void forget(int64_t transaction_id) { decided_.erase(transaction_id); }
  // Whether records behind the batch cannot be read, of those that were looked at.
  bool has_damage_behind(const BatchEntry& batch) const {
    return damage_offset_ >= batch.next_offset;
  }
  // The first offset that was not looked at.
  int64_t end_offset() const { return end_offset_; }

 private:
  int64_t end_offset_ = 0;
  int64_t damage_offset_ = -1;                 // of the last damage that was met
  std::unordered_map<int64_t, bool> decided_;  // by transaction: whether it was committed
};

}  // namespace pystream::storage
