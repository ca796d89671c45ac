#pragma once
// State beside the accumulator rows: what has no fixed size per key, such as text, sets and
// sketches. A table of accumulators holds one SideState per SideLayout and knows nothing else of
// it; whoever moves, merges or frees slots of a table does so for all kinds of state alike.
//
// What a merge gives must depend only on the rows that were added, never on the order of merges.
//
// Owned by one AccumulatorTable; one thread at a time. Snapshotable: each implementation says which
// columns are its content.

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "columns/array.hpp"
#include "windows/accumulator_layout.hpp"

namespace pystream::windows {

// Rows of a batch on their way into slots. Those of `column` are not null.
struct SideRows {
  const Array& column;
  const int32_t* indices;  // null: rows [begin, begin + count)
  int64_t begin;
  int64_t count;
  const uint32_t* slots;      // one per row
  const Array* by = nullptr;  // the column SideLayout::by of the batch
  // Of the whole batch: event times, and the number of the batch's first row in the order of
  // arrival.
  const int64_t* times = nullptr;
  int64_t first_arrival = 0;
  std::span<const Array> columns = {};  // of the whole batch

  int64_t row(int64_t i) const { return indices == nullptr ? begin + i : indices[i]; }
};

class SideState {
 public:
  virtual ~SideState() = default;
  SideState& operator=(const SideState&) = delete;

  virtual std::unique_ptr<SideState> clone() const = 0;

  // There are so many slots, at least as many as before; new ones are empty.
  virtual void resize(int64_t slots) = 0;

  virtual void add(const SideRows& rows) = 0;

  // Slot slots[i] takes slot other_slots[i] of `other`, which is of the same layout and stays as it
  // is. `other` may be this state itself if no slot is in both lists.
  virtual void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                     int64_t count) = 0;

  // The same for a state of which nothing but emit() will be asked, and whose slots come in order,
  // each once: what they show may be found at once. False: it failed, and emit() will throw that.
  virtual bool show(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                    int64_t count) {
    merge(other, slots, other_slots, count);
    return true;
  }

  // The same for slots that are new here, of a state that is forgotten afterwards.
  virtual void take_over(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                         int64_t count) {
    merge(other, slots, other_slots, count);
  }

  // Does what is left to do for rows that were added. It is done by itself before it matters.
  virtual void settle() const {}

  // Empties a slot.
  virtual void clear(uint32_t slot) = 0;

  // A value of `result` per slot; null for a slot that has none.
  virtual Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const = 0;

  virtual int64_t bytes() const = 0;

  // Its content as columns of a snapshot: their names and types, the rows of `slots`, and back.
  // restore() puts row i into slot i of a state whose slots are all empty. See
  // docs/formats/state.md.
  virtual std::vector<Field> state_fields() const = 0;
  virtual std::vector<Array> snapshot(std::span<const uint32_t> slots) const = 0;
  virtual void restore(std::span<const Array> columns) = 0;

 protected:
  SideState() = default;
  SideState(const SideState&) = default;
};

// For `input`, without slots.
std::unique_ptr<SideState> make_side(const SideLayout& side, const InputLayout& input);

// A SideState as a value: copied with the table that it belongs to.
class Side {
 public:
  explicit Side(std::unique_ptr<SideState> state) : state_(std::move(state)) {}
  Side(Side&&) noexcept = default;
  Side& operator=(Side&&) noexcept = default;
  Side(const Side& other) : state_(other.state_->clone()) {}
  Side& operator=(const Side& other) {
    state_ = other.state_->clone();
    return *this;
  }

  SideState* operator->() { return state_.get(); }
  const SideState* operator->() const { return state_.get(); }
  const SideState& operator*() const { return *state_; }

 private:
  std::unique_ptr<SideState> state_;
};

}  // namespace pystream::windows
