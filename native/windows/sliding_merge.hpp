#pragma once
// Windows out of sealed slices.
//
// Slices are sealed in the order of time and leave in that order, so a window is a queue of slices
// and its result their merge. Where slices hold few of the window's keys, or a window has few
// slices, they are simply merged each time. Else the queue is two stacks. The back holds new slices
// and the merge of all of them; the front holds, for each of its slices, the merge of that slice
// and all later ones in the front. A window's result is the front's top merged with the back's
// total. When the front runs empty, the back is turned over once. So a slice is merged at most
// three times however many windows it is in, also for min and max, which cannot be subtracted.
// (Tangwongsan, Hirzel, Schneider, "Optimal and general out-of-order sliding-window aggregation",
// 2019, describes the family.)
//
// What is done depends only on the slices and windows, never on when the caller looks, and slices
// are always merged in the order of time: sums of floats do not depend on how the input was cut.
//
// Owned by one operator; one thread at a time. Snapshotable: the slices' tables.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "windows/accumulator_table.hpp"

namespace pystream::windows {

class SlidingMerge {
 public:
  explicit SlidingMerge(const AccumulatorLayout* layout) : layout_(layout) {}

  // Adds a sealed slice of so many keys; later than all before. Ids in it are < universe.
  void push(int64_t slice, AccumulatorTable&& table, int64_t keys, uint32_t universe);

  // Adds rows to a slice that was, or could have been, pushed: they were late for windows that have
  // fired and count in those to come.
  void add_late(int64_t slice, AccumulatorTable&& table, uint32_t universe);

  // Where such rows of a slice are kept, for adding to them.
  AccumulatorTable* late(int64_t slice) { return &late_.try_emplace(slice, layout_).first->second; }

  // Forgets the slices before `slice`.
  void evict_before(int64_t slice, uint32_t universe);

  // Forgets all slices.
  void clear();

  // The merge of all slices held. done() takes it back, with the number of keys it had.
  AccumulatorTable total(uint32_t universe);
  void done(AccumulatorTable&& total, int64_t keys);

  // The last slice held, or nothing.
  std::optional<int64_t> last_slice() const;

  // Calls visit(AccumulatorTable&) for each table held.
  template <typename Visit>
  void for_each_table(Visit visit) {
    for (Entry& entry : front_) visit(entry.table);
    for (Entry& entry : back_) visit(entry.table);
    if (back_total_) visit(*back_total_);
    for (auto& [slice, table] : late_) visit(table);
  }
  int64_t size() const { return static_cast<int64_t>(front_.size() + back_.size()); }

  // For snapshots. Calls front(slice, keys, table) from the earliest slice of the front on, each
  // with what it was merged with; back(slice, keys, table) and late(slice, table) likewise.
  template <typename Front, typename Back, typename Late>
  void visit(Front front, Back back, Late late) const {
    for (auto entry = front_.rbegin(); entry != front_.rend(); ++entry) {
      front(entry->slice, entry->keys, entry->table);
    }
    for (const Entry& entry : back_) back(entry.slice, entry.keys, entry.table);
    for (const auto& [slice, table] : late_) late(slice, table);
  }
  bool is_stacked() const { return is_stacked_; }
  bool should_stack() const { return should_stack_; }

  // The inverse, into one that is empty: tables come as visit() gave them. rebuild() ends it.
  AccumulatorTable* restore_front(int64_t slice, int64_t keys);
  AccumulatorTable* restore_back(int64_t slice, int64_t keys);
  void rebuild(bool is_stacked, bool should_stack, uint32_t universe);
  // Takes in the slices of other keys, as far as they were sealed by the same watermark.
  void absorb(SlidingMerge&& other, uint32_t universe);

 private:
  struct Entry {
    int64_t slice;
    int64_t keys;  // of the slice alone
    AccumulatorTable table;
  };

  void pop_back_before(int64_t slice);
  void turn_over(uint32_t universe);
  int64_t slice_keys() const;
  int64_t front_end() const;
  void extend_front(int64_t last_slice, uint32_t universe);
  void fill_front(const std::vector<Entry>& like);
  void sum_up_back(uint32_t universe);

  const AccumulatorLayout* layout_;

  // State that is checkpointed.
  bool is_stacked_ = false;  // else the front is empty and the back has no total
  bool should_stack_ = false;
  std::vector<Entry> front_;  // earliest slice last; each merged with all later ones of the front
  std::deque<Entry> back_;    // earliest first; as they came
  std::map<int64_t, AccumulatorTable> late_;  // rows added after their slice, by slice

  // State that is rebuilt.
  std::optional<AccumulatorTable> back_total_;
  state::LargeArray<uint8_t> spare_;  // for the next total
};

}  // namespace pystream::windows
