#pragma once
// Byte strings to dense ids, in order of first appearance. Each string is stored once, back to back
// in one arena; a slot holds 32 bits of the hash, so that strings are compared only when they are
// almost surely equal.
//
// Owned by one KeyDictionary and used by one thread at a time. Rebuilt after a restart from the
// strings.

#include <cstdint>
#include <span>
#include <string_view>

#include "state/large_array.hpp"

namespace pystream::state {

class BytesTable {
 public:
  // Ids start at 1. Id 0 is never given out: its owner uses it for null.
  BytesTable();

  // The id of each string; new strings get the next ids in order. Throws kOperator at 2^32 - 2
  // keys.
  void find_or_insert(std::span<const std::string_view> strings, uint32_t* ids);

  // One more than the largest id.
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  // The string of an id >= 1; valid until the next find_or_insert() or keep().
  std::string_view operator[](uint32_t id) const {
    const int64_t begin = ends_[id - 1];
    return {arena_.data() + begin, static_cast<size_t>(ends_[id] - begin)};
  }
  int64_t bytes() const;

  // Forgets all strings but those of `ids` (ascending, each >= 1), which become ids 1, 2, ...
  void keep(std::span<const uint32_t> ids);

 private:
  struct Slot {
    uint32_t hash;
    uint32_t id;  // kNoId: free
  };

  uint32_t insert(std::string_view string, uint32_t hash);
  void place(uint32_t hash, uint32_t id);
  void rehash(int bits);

  LargeArray<char> arena_;        // the table's content: all strings ...
  LargeArray<int64_t> ends_;      // ... by id, where each ends; entry 0 is 0
  LargeArray<uint32_t> hashes_;   // rebuilt: by id
  LargeArray<Slot> slots_;        // rebuilt
  LargeArray<uint32_t> pending_;  // scratch: hashes of the strings of one call
  int shift_ = 0;                 // 32 - log2(slots)
};

}  // namespace pystream::state
