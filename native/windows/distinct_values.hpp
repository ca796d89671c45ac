#pragma once
// How many distinct values each slot has had, exactly. Which values are one is decided as for keys:
// all NaNs are one, and so are -0.0 and 0.0.
//
// Values are numbered in one dictionary for all slots; a slot holds the set of its numbers. So a
// value that many keys have had is stored once, and a dictionary-encoded column is looked at once
// per entry. Values that no slot holds any more are forgotten now and then.
//
// Content: the values, and the numbers of each slot.

#include "state/column_dictionary.hpp"
#include "windows/side_state.hpp"
#include "windows/slot_table.hpp"

namespace pystream::windows {

class DistinctValues final : public SideState {
 public:
  explicit DistinctValues(const DataType& type) : values_(type) {}

  std::unique_ptr<SideState> clone() const override {
    return std::make_unique<DistinctValues>(*this);
  }
  void resize(int64_t slots) override;
  void add(const SideRows& rows) override;
  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override;
  void clear(uint32_t slot) override;
  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override;
  int64_t bytes() const override { return values_.bytes() + sets_.bytes(); }
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override;
  void restore(std::span<const Array> columns) override;

 private:
  struct Member {
    uint32_t number;

    uint32_t key() const { return number; }
    static Member of(uint32_t key) { return {key}; }
  };

  void forget_unused();

  state::ColumnDictionary values_;
  SlotTable<Member> sets_;
  int64_t slots_ = 0;
  int64_t cleared_ = 0;  // members of slots that were emptied since values were last forgotten
};

}  // namespace pystream::windows
