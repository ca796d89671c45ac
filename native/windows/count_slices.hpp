#pragma once
// The records that count windows still need, by key: slices, each of consecutive records of one
// key, from the oldest to the newest.
//
// A window ends where its last record is, and begins `size` records before; both are edges between
// slices, so that a window is a whole number of them, at most two for each slide. A slice has a
// number, which is also its row in an AccumulatorTable.
//
// Owned by one operator; one thread at a time. Snapshotable: keys and slices.

#include <cstdint>
#include <span>
#include <vector>

#include "state/large_array.hpp"
#include "state/limits.hpp"

namespace pystream::windows {

inline constexpr uint32_t kNoSlice = state::kNoId;

struct CountSlice {
  int64_t begin;     // number of its first record, counted per key
  int64_t min_time;  // event times
  int64_t max_time;
  uint32_t key;    // kNoId: the number is free
  uint32_t newer;  // of the same key; of a free number, the next free one
};

struct CountKey {
  int64_t records = 0;  // so far
  int64_t phase = 0;    // of them since the last window
  uint32_t oldest = kNoSlice;
  uint32_t newest = kNoSlice;
  // Of CountStacks: the row in which the back is summed up, the newest slice of the front, and the
  // newest slice that is in the front or the total.
  uint32_t total = kNoSlice;
  uint32_t front_newest = kNoSlice;
  uint32_t pushed = kNoSlice;
};

class CountSlices {
 public:
  // Key ids are < universe from here on.
  void reserve_keys(uint32_t universe) { keys_.resize(universe); }

  CountKey& key(uint32_t id) { return keys_[id]; }
  const CountKey& key(uint32_t id) const { return keys_[id]; }
  // How many key ids there are.
  uint32_t universe() const { return static_cast<uint32_t>(keys_.size()); }
  CountSlice& operator[](uint32_t slice) { return slices_[slice]; }
  const CountSlice& operator[](uint32_t slice) const { return slices_[slice]; }
  // One more than the largest number ever in use, and how many are in use.
  uint32_t size() const { return static_cast<uint32_t>(slices_.size()); }
  int64_t in_use() const { return in_use_; }

  // A new slice of the key, which is its newest. Throws kOperator at 2^32 - 2 slices.
  uint32_t open(uint32_t key);
  // A row for CountKey::total, which is in no chain.
  void open_total(uint32_t key);
  // Takes the key's oldest slice away; its number stays in use until it is released.
  uint32_t pop(uint32_t key);
  void release(uint32_t slice);

  // Sets the byte of each key that has a slice.
  void mark_keys(std::span<uint8_t> live) const;
  // Key ids have changed; those of slices are kept.
  void remap_keys(std::span<const uint32_t> new_ids, uint32_t universe);
  // Closes up the numbers that are not in use. Returns the new number of each old one.
  std::vector<uint32_t> compact();

  int64_t bytes() const {
    return slices_.bytes() + static_cast<int64_t>(keys_.capacity() * sizeof(CountKey));
  }

 private:
  uint32_t take_number();

  std::vector<CountKey> keys_;
  state::LargeArray<CountSlice> slices_;
  uint32_t free_ = kNoSlice;
  int64_t in_use_ = 0;
};

}  // namespace pystream::windows
