#pragma once
// The last offset of each key, for compaction: a hash table of whole keys. A hash alone decides
// nothing.
//
// Owned by one compaction; its thread.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/log_batch.hpp"

namespace pystream::storage {

class LatestOffsets {
 public:
  LatestOffsets() : slots_(kFirstSlots) {}

  // The largest offset of a key stays.
  void put(std::string_view key, int64_t offset);
  // -1 for a key that was never put.
  int64_t find(std::string_view key) const;
  // Of memory, about.
  int64_t bytes() const {
    return static_cast<int64_t>(slots_.size() * sizeof(Slot) + keys_.size());
  }

 private:
  static constexpr size_t kFirstSlots = 1024;

  struct Slot {
    uint64_t hash = 0;
    int64_t offset = -1;  // -1: free
    size_t at = 0;        // in keys_
    size_t size = 0;
  };

  // The slot of the key, or the free one where it belongs.
  size_t slot_of(uint64_t hash, std::string_view key) const;
  void grow();

  std::vector<Slot> slots_;  // a power of two, at most three quarters in use
  size_t used_ = 0;
  std::string keys_;  // one behind the other
};

// The keys of a batch, as the partitioner has them: equal values are equal bytes.
class BatchKeys {
 public:
  BatchKeys(const LogBatch& batch, std::span<const int> key_columns);

  // Rows whose one key column is null have none.
  bool has_key(int64_t row) const { return columns_.size() > 1 || columns_[0].is_valid(row); }
  // Of a row that has one; valid until the next call.
  std::string_view key(int64_t row);

  // Enters the rows from `begin` on into `latest`.
  void put_into(LatestOffsets* latest, const LogBatch& batch, int64_t begin);
  // Of each row, what `latest` knows of its key; -1 without one.
  std::vector<int64_t> look_up(const LatestOffsets& latest);

 private:
  // One key column, dictionary-encoded: each entry is looked up once.
  bool is_encoded() const { return columns_.size() == 1 && columns_[0].is_encoded(); }

  std::vector<Array> columns_;
  std::string scratch_;
};

}  // namespace pystream::storage
