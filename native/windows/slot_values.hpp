#pragma once
// One value per slot, of any column type and with all its bits: a NaN keeps its payload, a zero its
// sign. Fixed-width values lie in one array; text, binary and decimals are runs of bytes.
//
// Owned by one SideState; one thread at a time. Content: the value of each slot that has one.

#include <cstdint>
#include <span>

#include "columns/array.hpp"
#include "windows/slot_arena.hpp"

namespace pystream::windows {

class SlotValues {
 public:
  explicit SlotValues(const DataType& type);

  void resize(int64_t slots);
  // Slot slots[i] takes row rows[i] of `column`, plain or encoded, which is not null; one after the
  // other.
  void set(const Array& column, const int32_t* rows, const uint32_t* slots, int64_t count);
  // `from` may be this.
  void copy(uint32_t slot, const SlotValues& from, uint32_t from_slot);
  // Gives back what a slot holds.
  void clear(uint32_t slot);
  // The values of `slots`; null where `is_valid[i]` is 0.
  Array gather(const DataType& type, std::span<const uint32_t> slots,
               std::span<const uint8_t> is_valid) const;
  int64_t bytes() const { return words_.bytes() + texts_.bytes(); }

 private:
  template <typename Read>
  void set_words(const Array& column, const int32_t* rows, const uint32_t* slots, int64_t count,
                 Read read);

  bool is_bytes_;
  state::LargeArray<uint64_t> words_;  // the bits of values of up to eight bytes
  SlotArena<char> texts_;
};

}  // namespace pystream::windows
