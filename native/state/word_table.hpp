#pragma once
// 64-bit keys to dense ids, in order of first appearance. Open addressing with linear probing, at
// most half full; key and id share a slot, so that a lookup in a large table costs one cache line.
//
// Owned by one KeyDictionary and used by one thread at a time. Rebuilt after a restart from keys().

#include <cstdint>
#include <span>

#include "state/large_array.hpp"

namespace pystream::state {

class WordTable {
 public:
  // Ids start at 1. Id 0 is never given out: its owner uses it for null.
  WordTable();

  // The id of each key; new keys get the next ids in order. Throws kOperator at 2^32 - 2 keys.
  void find_or_insert(const uint64_t* keys, int64_t count, uint32_t* ids);

  // One more than the largest id.
  uint32_t size() const { return static_cast<uint32_t>(keys_.size()); }
  // The key of each id; entry 0 is meaningless.
  const uint64_t* keys() const { return keys_.data(); }
  int64_t bytes() const { return keys_.bytes() + slots_.bytes(); }

  // Forgets all keys and takes `keys`, distinct, as ids 1, 2, ...
  void assign(std::span<const uint64_t> keys);

 private:
  struct Slot {
    uint64_t key;
    uint64_t id;  // kEmpty: free
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;

  template <bool kPrefetch>
  void find_or_insert_loop(const uint64_t* keys, int64_t count, uint32_t* ids);
  uint32_t insert(uint64_t key);
  void place(uint64_t key, uint64_t id);
  void rehash(int bits);

  LargeArray<uint64_t> keys_;  // by id: the table's content
  LargeArray<Slot> slots_;     // rebuilt from keys_
  int shift_ = 0;              // 64 - log2(slots)
};

}  // namespace pystream::state
