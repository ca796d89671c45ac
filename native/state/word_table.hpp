#pragma once
// 64-bit keys to dense ids, in order of first appearance. Two forms, chosen by the keys: an array
// indexed by key while the keys fill a good part of a range (user ids, small codes), else open
// addressing with linear probing, at most half full, where key and id share a slot. Either way a
// lookup in a large table costs one cache line.
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
  int64_t bytes() const { return keys_.bytes() + range_.bytes() + slots_.bytes(); }

  // Forgets all keys and takes `keys`, distinct, as ids 1, 2, ...
  void assign(std::span<const uint64_t> keys);

 private:
  struct Slot {
    uint64_t key;
    uint64_t id;  // kEmpty: free
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;

  template <bool kPrefetch>
  void find_or_insert_range(const uint64_t* keys, int64_t count, uint32_t* ids);
  template <bool kPrefetch>
  void find_or_insert_hashed(const uint64_t* keys, int64_t count, uint32_t* ids);
  uint32_t insert(uint64_t key);
  void index();
  void index_range();
  void index_hashed();
  void place(uint64_t key, uint64_t id);

  // The table's content: the key of each id.
  LargeArray<uint64_t> keys_;

  // The index, rebuilt from keys_.
  bool is_range_ = true;
  uint64_t lowest_ = UINT64_MAX;  // of all keys, as signed numbers moved up by 2^63
  uint64_t highest_ = 0;
  uint64_t base_ = 0;           // range: the key of entry 0
  LargeArray<uint32_t> range_;  // range: id by key - base_, kNoId where there is none
  LargeArray<Slot> slots_;      // hashed
  int shift_ = 0;               // hashed: 64 - log2(slots)
};

}  // namespace pystream::state
