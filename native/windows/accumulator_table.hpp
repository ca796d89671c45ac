#pragma once
// The accumulators of one slice (or of several merged): one row per key id.
//
// Dense: row number = key id; for slices that hold a good part of all keys. Sparse: rows in order
// of first use, found through a small hash table of ids; for slices that hold few of many keys. A
// table turns from sparse to dense by itself, never back.
//
// Owned by one thread while its slice is open, afterwards by the operator; never used by two
// threads at once. Snapshotable: rows(), nulls, NaNs and sides are the content, the id table is
// rebuilt.

#include <cstdint>
#include <span>
#include <vector>

#include "state/large_array.hpp"
#include "windows/accumulate.hpp"
#include "windows/accumulator_layout.hpp"
#include "windows/side_state.hpp"

namespace pystream::windows {

class AccumulatorTable {
 public:
  // `storage`: a block to use again; its content is lost. A new block of a million rows costs as
  // much in the kernel as filling it does here.
  explicit AccumulatorTable(const AccumulatorLayout* layout,
                            state::LargeArray<uint8_t> storage = {});
  state::LargeArray<uint8_t> take_storage() && { return std::move(rows_); }

  // To be called before rows of ids < universe are added. `expects_dense`: a guess for a table that
  // is still empty.
  void prepare(uint32_t universe, bool expects_dense);

  // The slot of each id, empty rows being added as needed. The result is `ids` or `scratch`.
  const uint32_t* slots(const uint32_t* ids, int64_t count, uint32_t* scratch);

  RowBlock rows() const;
  bool is_dense() const { return is_dense_; }

  // Beside the rows, by slot; null while no null (NaN) came.
  int64_t* add_nulls(int input) { return side(&nulls_[static_cast<size_t>(input)]); }
  int64_t* add_nans(int input) { return side(&nans_[static_cast<size_t>(input)]); }
  const int64_t* nulls(int input) const { return side_or_null(nulls_, input); }
  const int64_t* nans(int input) const { return side_or_null(nans_, input); }
  // By index of AccumulatorLayout::sides.
  Side& side(int index) { return sides_[static_cast<size_t>(index)]; }
  const Side& side(int index) const { return sides_[static_cast<size_t>(index)]; }
  // Values of an input in a row, nulls not counted.
  int64_t value_count(int input, uint32_t slot) const;

  // Merges `other`, whose values come after those here. `new_ids` translates its ids; null: the
  // same. Ids here are < universe.
  void merge(const AccumulatorTable& other, const uint32_t* new_ids, uint32_t universe);

  // Merges the slots of `other` at other_slots into mine at `slots`, one for one; their values come
  // after those here. `other` may be this table if no slot is in both lists.
  void merge_slots(const AccumulatorTable& other, const uint32_t* slots,
                   const uint32_t* other_slots, int64_t count);

  // Copies them into slots that are empty, of a table of which nothing but results will be asked;
  // see SideState::show().
  bool show_slots(const AccumulatorTable& other, const uint32_t* slots, const uint32_t* other_slots,
                  int64_t count);

  // Merges, one after the other, row sources[i] into row targets[i] of this table, which has no
  // sides. What one merge gives may be a source of a later one.
  void merge_rows_in_order(std::span<const uint32_t> targets, std::span<const uint32_t> sources);

  // See SideState::settle().
  void settle() const {
    for (const Side& side : sides_) side->settle();
  }

  // Makes rows of a dense table empty again.
  void clear_rows(std::span<const uint32_t> slots);

  // No rows are added any more for a while: a dense table of which most rows are empty is made
  // sparse. `freed` then gets its block. Returns key_count().
  int64_t compress(state::LargeArray<uint8_t>* freed);

  // The ids that have rows, and their slots, in the order of ids. `places` is replaced.
  struct Places {
    state::LargeArray<uint32_t> ids;
    state::LargeArray<uint32_t> slots;
  };
  void collect(Places* places) const;

  // How many ids have rows.
  int64_t key_count() const;

  // Sets the byte of each id that has rows.
  void mark(std::vector<uint8_t>* live) const;

  // Whether a table of so many keys out of `universe` is better dense.
  static bool is_worth_dense(int64_t key_count, uint32_t universe);

  // Key ids have changed: old id i is now new_ids[i], in the same order; every id that has rows
  // here is kept.
  void remap(std::span<const uint32_t> new_ids);

  int64_t bytes() const;

  // The content as columns of a snapshot: their names and types, the rows of `slots`, and back.
  // restore() makes row i the content of slot i, of a table to which nothing was added.
  std::vector<Field> state_fields() const;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const;
  void restore(std::span<const Array> columns, int64_t rows);

 private:
  struct Slot {
    uint32_t id;  // kNoId: free
    uint32_t slot;
  };

  // Slots here and those of another table that go to them. Sides are merged once per table, and
  // not block by block as the rows are.
  struct SlotPairs {
    std::vector<uint32_t> slots;
    std::vector<uint32_t> other_slots;

    void append(const uint32_t* here, const uint32_t* there, int64_t count) {
      slots.insert(slots.end(), here, here + count);
      other_slots.insert(other_slots.end(), there, there + count);
    }
  };

  // What becomes of the table that is merged from, as far as sides care.
  enum class Source : uint8_t { kStays, kIsForgotten };

  int64_t slot_count() const { return rows_.size() / layout_->stride; }
  void add_rows(int64_t count);
  uint32_t insert(uint32_t id);
  void rehash(int bits);
  void index();
  template <typename Visit>
  void for_each_block(Visit visit) const;
  void merge_block(const AccumulatorTable& other, const uint32_t* slots,
                   const uint32_t* other_slots, int64_t count, SlotPairs* pairs);
  void densify(uint32_t universe);
  void merge_beside(const AccumulatorTable& other, const uint32_t* slots,
                    const uint32_t* other_slots, int64_t count);
  void merge_all(const AccumulatorTable& other, const uint32_t* new_ids, uint32_t universe,
                 Source source);
  void merge_sides(const AccumulatorTable& other, const SlotPairs& pairs, Source source);
  int64_t* side(std::vector<int64_t>* counts);
  static const int64_t* side_or_null(const std::vector<std::vector<int64_t>>& all, int input) {
    const std::vector<int64_t>& counts = all[static_cast<size_t>(input)];
    return counts.empty() ? nullptr : counts.data();
  }

  // Configuration.
  const AccumulatorLayout* layout_;

  // State that is checkpointed.
  bool is_dense_ = false;
  bool is_started_ = false;
  state::LargeArray<uint8_t> rows_;
  std::vector<uint32_t> ids_;                // sparse: by slot
  std::vector<std::vector<int64_t>> nulls_;  // by input, then by slot; empty until the first
  std::vector<std::vector<int64_t>> nans_;
  std::vector<Side> sides_;

  // State that is rebuilt.
  state::LargeArray<Slot> table_;  // sparse: id to slot; empty until ids are looked up
  int shift_ = 0;                  // 32 - log2(table size)
};

}  // namespace pystream::windows
