#pragma once
// A small hash table for each slot: open addressing with linear probing, at most three quarters
// full, in runs of a SlotArena. An Entry has key(), 32 bits, and is made by Entry::of(key); no key
// is kNoKey.
//
// Owned by one SideState; one thread at a time. Content: the entries of each slot, in no order.

#include <cstdint>
#include <vector>

#include "windows/slot_arena.hpp"

namespace pystream::windows {

inline constexpr uint32_t kNoKey = UINT32_MAX;

template <typename Entry>
class SlotTable {
 public:
  void resize(int64_t slots) {
    const int64_t before = counts_.size();
    entries_.resize(slots);
    counts_.resize(slots);
    for (int64_t slot = before; slot < slots; ++slot) counts_[slot] = 0;
  }

  // Entries of a slot.
  int64_t size(uint32_t slot) const { return counts_[slot]; }
  // Entries of all slots.
  int64_t total() const { return total_; }

  // The entry of that key, added when there is none. Valid until the next call.
  Entry* find_or_insert(uint32_t slot, uint32_t key) {
    if (4 * (int64_t{counts_[slot]} + 1) > 3 * entries_.capacity(slot)) grow(slot);
    Entry* entry = probe(slot, key);
    if (entry->key() == kNoKey) {
      *entry = Entry::of(key);
      ++counts_[slot];
      ++total_;
    }
    return entry;
  }

  // Calls visit(const Entry&) for each entry of a slot; visit may add to other slots.
  template <typename Visit>
  void for_each(uint32_t slot, Visit visit) const {
    const int64_t capacity = counts_[slot] == 0 ? 0 : entries_.capacity(slot);
    for (int64_t i = 0; i < capacity; ++i) {
      const Entry entry = entries_.data(slot)[i];
      if (entry.key() != kNoKey) visit(entry);
    }
  }

  void clear(uint32_t slot) {
    entries_.clear(slot);
    total_ -= counts_[slot];
    counts_[slot] = 0;
  }

  int64_t bytes() const { return entries_.bytes() + counts_.bytes(); }

 private:
  Entry* probe(uint32_t slot, uint32_t key) {
    Entry* entries = entries_.data(slot);
    const auto mask = static_cast<uint32_t>(entries_.capacity(slot) - 1);
    uint32_t at = ((key * 0x9E3779B1u) >> 7) & mask;
    while (entries[at].key() != key && entries[at].key() != kNoKey) at = (at + 1) & mask;
    return &entries[at];
  }

  void grow(uint32_t slot) {
    std::vector<Entry> kept;
    for_each(slot, [&](const Entry& entry) { kept.push_back(entry); });
    entries_.set_size(slot, 0);
    entries_.reserve(slot, 2 * entries_.capacity(slot));
    const int64_t capacity = entries_.capacity(slot);
    Entry* entries = entries_.data(slot);
    for (int64_t i = 0; i < capacity; ++i) entries[i] = Entry::of(kNoKey);
    for (const Entry& entry : kept) *probe(slot, entry.key()) = entry;
  }

  SlotArena<Entry> entries_;
  state::LargeArray<uint32_t> counts_;
  int64_t total_ = 0;
};

}  // namespace pystream::windows
