#pragma once
// A growing run of values for each slot, all in one block of memory: what text, sets and sketches
// beside the accumulator rows are kept in. Runs have room for a power of two of values; one that
// grows moves, and the place it leaves is given to the next run of that size.
//
// Owned by one SideState; one thread at a time. Snapshotable: the values of each slot.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "state/large_array.hpp"

namespace pystream::windows {

template <typename T>
class SlotArena {
 public:
  // New slots have no run.
  void resize(int64_t slots) {
    const int64_t before = runs_.size();
    runs_.resize(slots);
    for (int64_t slot = before; slot < slots; ++slot) runs_[slot] = Run{};
  }

  int64_t slots() const { return runs_.size(); }
  bool has(uint32_t slot) const { return runs_[slot].room > 0; }
  int64_t size(uint32_t slot) const { return runs_[slot].size; }
  int64_t capacity(uint32_t slot) const { return runs_[slot].capacity(); }
  // Valid until the next reserve(), assign() or resize() of any slot.
  T* data(uint32_t slot) { return values_.data() + runs_[slot].begin; }
  const T* data(uint32_t slot) const { return values_.data() + runs_[slot].begin; }

  // Gives the slot a run of at least one and at least `capacity` values; what it holds stays.
  void reserve(uint32_t slot, int64_t capacity) {
    if (has(slot) && capacity <= runs_[slot].capacity()) return;
    Run run;
    run.room = room_for(capacity);
    run.size = runs_[slot].size;
    run.begin = take(run.room);
    const Run old = runs_[slot];
    if (old.size > 0) {
      std::memcpy(values_.data() + run.begin, values_.data() + old.begin,
                  static_cast<size_t>(old.size) * sizeof(T));
    }
    if (old.room > 0) free_[old.room].push_back(old.begin);
    runs_[slot] = run;
  }

  // Of the values that there is room for, how many count.
  void set_size(uint32_t slot, int64_t size) { runs_[slot].size = static_cast<uint32_t>(size); }

  // `values` must not point into this arena.
  void assign(uint32_t slot, const T* values, int64_t count) {
    runs_[slot].size = 0;
    reserve(slot, count);
    if (count > 0) std::memcpy(data(slot), values, static_cast<size_t>(count) * sizeof(T));
    set_size(slot, count);
  }

  // The slot has no run any more.
  void clear(uint32_t slot) {
    if (has(slot)) free_[runs_[slot].room].push_back(runs_[slot].begin);
    runs_[slot] = Run{};
  }

  int64_t bytes() const {
    int64_t total = values_.bytes() + runs_.bytes();
    for (const auto& places : free_) {
      total += static_cast<int64_t>(places.capacity() * sizeof(int64_t));
    }
    return total;
  }

 private:
  struct Run {
    int64_t begin = 0;
    uint32_t size = 0;
    uint8_t room = 0;  // 0: no run; else there is room for 2^(room - 1) values

    int64_t capacity() const { return room == 0 ? 0 : int64_t{1} << (room - 1); }
  };
  static constexpr int64_t kLeast = sizeof(T) >= 16 ? 1 : 16 / static_cast<int64_t>(sizeof(T));

  static uint8_t room_for(int64_t capacity) {
    const auto wanted = static_cast<uint64_t>(capacity < kLeast ? kLeast : capacity);
    return static_cast<uint8_t>(std::bit_width(wanted - 1) + 1);
  }

  int64_t take(uint8_t room) {
    std::vector<int64_t>& places = free_[room];
    if (!places.empty()) {
      const int64_t begin = places.back();
      places.pop_back();
      return begin;
    }
    const int64_t begin = values_.size();
    values_.resize(begin + (int64_t{1} << (room - 1)));
    return begin;
  }

  state::LargeArray<T> values_;
  state::LargeArray<Run> runs_;
  std::array<std::vector<int64_t>, 34> free_;  // begins of runs that were left, by room
};

}  // namespace pystream::windows
