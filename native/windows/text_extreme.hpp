#pragma once
// The least or the greatest text of each slot; bytewise, which for UTF-8 is by code point.
//
// Content: the text of each slot that has one.

#include <string_view>
#include <utility>
#include <vector>

#include "windows/side_state.hpp"
#include "windows/slot_arena.hpp"

namespace pystream::windows {

class TextExtreme final : public SideState {
 public:
  TextExtreme(bool is_max, DataType type) : is_max_(is_max), type_(std::move(type)) {}

  std::unique_ptr<SideState> clone() const override { return std::make_unique<TextExtreme>(*this); }
  void resize(int64_t slots) override { texts_.resize(slots); }
  void add(const SideRows& rows) override;
  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override;
  void clear(uint32_t slot) override { texts_.clear(slot); }
  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override;
  int64_t bytes() const override { return texts_.bytes(); }
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override;
  void restore(std::span<const Array> columns) override;

 private:
  std::string_view text(uint32_t slot) const {
    return {texts_.data(slot), static_cast<size_t>(texts_.size(slot))};
  }
  Array gather(const DataType& type, std::span<const uint32_t> slots) const;
  bool is_beaten_by(uint32_t slot, std::string_view value) const {
    if (!texts_.has(slot)) return true;
    return is_max_ ? text(slot) < value : value < text(slot);
  }

  bool is_max_;
  DataType type_;
  SlotArena<char> texts_;
};

}  // namespace pystream::windows
