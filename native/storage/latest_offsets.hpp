#pragma once
// The last offset of each key, for compaction: a hash table of whole keys. A hash alone decides
// nothing.
//
// Owned by one compaction; its thread.

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/log_batch.hpp"

namespace pystream::storage {

class LatestOffsets {
 public:
  LatestOffsets() : slots_(kFirstSlots) {}

  // Of a key; all else that is told or asked of a key comes with it.
  static uint64_t hash_of(std::string_view key);

  // The largest offset of a key stays.
  void put(uint64_t hash, std::string_view key, int64_t offset);
  // -1 for a key that was never put.
  int64_t find(uint64_t hash, std::string_view key) const;
  // Of keys that are put or found soon, several before the first of them: the table is far larger
  // than any cache. First the slot of each, then the bytes of each.
  void prefetch_slot(uint64_t hash) const {
    __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  }
  void prefetch_bytes(uint64_t hash) const {
    const Slot& slot = slots_[hash & (slots_.size() - 1)];
    if (slot.hash == hash && slot.size > kInlineBytes) __builtin_prefetch(&keys_[slot.at]);
  }
  // Of memory, about.
  int64_t bytes() const {
    return static_cast<int64_t>(slots_.size() * sizeof(Slot) + keys_.size());
  }

 private:
  static constexpr size_t kFirstSlots = 1024;
  static constexpr size_t kInlineBytes = sizeof(uint64_t);

  struct Slot {
    uint64_t hash = 0;
    int64_t offset = -1;  // -1: free
    uint64_t at = 0;      // in keys_; of keys of up to kInlineBytes the bytes themselves
    size_t size = 0;
  };

  // The bytes of a short key, behind them zeros.
  static uint64_t inlined(std::string_view key) {
    uint64_t word = 0;
    if (!key.empty()) std::memcpy(&word, key.data(), key.size());
    return word;
  }
  bool is_of(const Slot& slot, uint64_t hash, std::string_view key) const {
    if (slot.hash != hash || slot.size != key.size()) return false;
    if (key.size() <= kInlineBytes) return slot.at == inlined(key);
    return std::string_view(keys_).substr(slot.at, slot.size) == key;
  }

  // The slot of the key, or the free one where it belongs.
  size_t slot_of(uint64_t hash, std::string_view key) const;
  void grow();

  std::vector<Slot> slots_;  // a power of two, at most three quarters in use
  size_t used_ = 0;
  std::string keys_;  // the longer ones, one behind the other
};

// The keys of a batch, as the partitioner has them: equal values are equal bytes.
class BatchKeys {
 public:
  BatchKeys(const LogBatch& batch, std::span<const int> key_columns);

  // Rows whose one key column is null have none.
  bool has_key(int64_t row) const { return columns_.size() > 1 || columns_[0].is_valid(row); }
  // Enters the rows from `begin` on into `latest`.
  void put_into(LatestOffsets* latest, const LogBatch& batch, int64_t begin);
  // Of each row, what `latest` knows of its key; -1 without one.
  std::vector<int64_t> look_up(const LatestOffsets& latest);

 private:
  // One key column, dictionary-encoded: each entry is looked up once.
  bool is_encoded() const { return columns_.size() == 1 && columns_[0].is_encoded(); }
  // Whether the bytes of keys lie in the column as they are.
  bool is_stored() const { return columns_.size() == 1 && columns_[0].type.is_var_binary(); }
  std::string_view stored_key(int64_t row) const;
  void append_key(int64_t row, std::string* out) const;
  // Calls `visit` with each of the rows, which have keys, and the key with its hash.
  void visit_keys(
      const LatestOffsets& latest, std::span<const int64_t> rows,
      const std::function<void(int64_t row, uint64_t hash, std::string_view key)>& visit) const;

  std::vector<Array> columns_;
};

}  // namespace pystream::storage
