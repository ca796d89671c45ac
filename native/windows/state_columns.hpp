#pragma once
// Columns of snapshots out of what operators hold, and back.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "columns/array.hpp"
#include "columns/builder.hpp"
#include "columns/schema.hpp"
#include "windows/list_elements.hpp"
#include "windows/order_keys.hpp"

namespace pystream::windows {

// Slots of a table, in the order of a snapshot's rows.
using StateSlots = std::span<const uint32_t>;

inline Field state_field(std::string name, TypeId type) {
  return {std::move(name), DataType::of(type), true};
}
inline Field state_list(std::string name, DataType element) {
  return {std::move(name), DataType::list_of(std::move(element)), true};
}

// A column of `count` values, of which value i is read(i).
template <typename T, typename Read>
Array state_column(TypeId type, size_t count, Read read) {
  FixedBuilder<T> builder(DataType::of(type));
  for (size_t i = 0; i < count; ++i) builder.append(read(i));
  return builder.finish();
}

// The same array with nulls where `is_valid` is 0.
Array with_nulls(Array array, std::span<const uint8_t> is_valid);

// Values that are held as int64_t, uint64_t, double or __int128, as a column of their own type.
template <typename V>
Array narrowed(const DataType& type, const std::vector<V>& values);
// The inverse: one value per row; of a null, any.
template <typename V>
std::vector<V> widened(const Array& column);

// Keys of an order (order_keys.hpp) as a column of the values that they stand for, and back.
Array values_of_keys(const DataType& type, std::span<const int64_t> keys, bool is_max);
Array values_of_keys(const DataType& type, std::span<const __int128> keys, bool is_max);
template <typename Key>
std::vector<Key> keys_of_values(const Array& values, bool is_max);

// Rows of a list column: the elements [begin, end) of row i.
struct ListRange {
  int64_t begin;
  int64_t end;
};
inline ListRange list_range(const Array& lists, int64_t row) {
  const int32_t* offsets = lists.offsets.as<int32_t>();
  return {offsets[row], offsets[row + 1]};
}

// A list column of the entries that read_list(slot, &elements) appends for each slot.
template <typename T, typename ReadList>
Array list_column(const DataType& element, StateSlots slots, ReadList read_list) {
  ListOffsets offsets;
  FixedBuilder<T> elements(element);
  for (const uint32_t slot : slots) {
    read_list(slot, &elements);
    offsets.end_list(static_cast<size_t>(elements.length()));
  }
  return offsets.finish(elements.finish());
}

}  // namespace pystream::windows
