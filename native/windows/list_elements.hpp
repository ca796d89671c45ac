#pragma once
// What lists are made of, on its way from slots into list columns.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "columns/array.hpp"
#include "windows/side_state.hpp"
#include "windows/slot_arena.hpp"

namespace pystream::windows {

// Values in columns as they lie: words of up to eight bytes, decimals, and text or binary.
using Word = uint64_t;
using Wide = __int128;

// A text of a slot: where it lies in its run of bytes.
struct Text {
  uint32_t begin = 0;
  uint32_t size = 0;
};

// The texts of each slot, one behind the other.
class SlotTexts {
 public:
  void resize(int64_t slots) { bytes_.resize(slots); }
  // Throws kRecordTooLarge when a slot passes what a column of text can hold.
  Text append(uint32_t slot, std::string_view text);
  // The run of `other_slot` goes behind that of `slot`; returns where it begins there. `from` may
  // be this.
  uint32_t append_all(uint32_t slot, const SlotTexts& from, uint32_t other_slot);
  std::string_view view(uint32_t slot, Text text) const {
    return {bytes_.data(slot) + text.begin, text.size};
  }
  int64_t size(uint32_t slot) const { return bytes_.size(slot); }
  void assign(uint32_t slot, std::string_view bytes) {
    bytes_.assign(slot, bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  void clear(uint32_t slot) { bytes_.clear(slot); }
  int64_t bytes() const { return bytes_.bytes(); }

 private:
  SlotArena<char> bytes_;
};

// Appends a value to a run that doubles. Throws kRecordTooLarge beyond what a list can hold.
[[noreturn]] void throw_long_list();
template <typename T>
void append_to(SlotArena<T>* arena, uint32_t slot, const T& value) {
  const int64_t size = arena->size(slot);
  if (size == INT32_MAX) throw_long_list();
  arena->reserve(slot, size + 1);
  arena->data(slot)[size] = value;
  arena->set_size(slot, size + 1);
}

// Columns of elements: of words, the low bits count.
Array elements_of(const DataType& type, const std::vector<Word>& words);
Array elements_of(const DataType& type, const std::vector<Wide>& values);
Array elements_of(const DataType& type, const std::vector<std::string_view>& texts);

// Where the lists of a column begin, and the last ends.
class ListOffsets {
 public:
  ListOffsets() { end_list(0); }
  // `total`: of elements so far. Throws kRecordTooLarge beyond what a column can hold.
  void end_list(size_t total);
  Array finish(Array elements);

 private:
  MutableBuffer offsets_;
};

// Calls visit(i, value) with the values of the rows: Words, Wides or std::string_views into the
// column, as its type asks for.
template <typename Visit>
void visit_words(const SideRows& rows, Visit visit) {
  const bool is_encoded = rows.column.is_encoded();
  const Array& plain = is_encoded ? *rows.column.dictionary : rows.column;
  const int32_t* codes = is_encoded ? rows.column.codes() : nullptr;
  const auto at = [&](int64_t i) { return is_encoded ? codes[rows.row(i)] : rows.row(i); };
  const auto visit_as = [&](auto zero) {
    const auto* values = plain.data<decltype(zero)>();
    for (int64_t i = 0; i < rows.count; ++i) visit(i, static_cast<Word>(values[at(i)]));
  };
  if (plain.type.is_bool()) {
    for (int64_t i = 0; i < rows.count; ++i) {
      visit(i, static_cast<Word>(get_bit(plain.values.data, at(i))));
    }
    return;
  }
  switch (plain.type.byte_width()) {
    case 1:
      return visit_as(uint8_t{});
    case 2:
      return visit_as(uint16_t{});
    case 4:
      return visit_as(uint32_t{});
    default:
      return visit_as(uint64_t{});
  }
}

template <typename Visit>
void visit_wides(const SideRows& rows, Visit visit) {
  const bool is_encoded = rows.column.is_encoded();
  const Array& plain = is_encoded ? *rows.column.dictionary : rows.column;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t at = is_encoded ? rows.column.codes()[rows.row(i)] : rows.row(i);
    Wide value;
    std::memcpy(&value, plain.values.data + at * static_cast<int64_t>(sizeof(value)),
                sizeof(value));
    visit(i, value);
  }
}

template <typename Visit>
void visit_texts(const SideRows& rows, Visit visit) {
  const bool is_encoded = rows.column.is_encoded();
  const Array& plain = is_encoded ? *rows.column.dictionary : rows.column;
  for (int64_t i = 0; i < rows.count; ++i) {
    visit(i, plain.view(is_encoded ? rows.column.codes()[rows.row(i)] : rows.row(i)));
  }
}

}  // namespace pystream::windows
