#include "windows/state_columns.hpp"

#include <bit>
#include <type_traits>

#include "windows/load_values.hpp"

namespace pystream::windows {

namespace {

bool is_unsigned(const DataType& type) { return type.is_integer() && !type.is_signed_integer(); }

template <typename V, typename Key>
std::vector<V> values_of(std::span<const Key> keys, bool is_max) {
  std::vector<V> values;
  values.reserve(keys.size());
  for (const Key key : keys) values.push_back(value_of_key<V>(key, is_max));
  return values;
}

template <typename V, typename Key>
std::vector<Key> keys_of(const Array& column, bool is_max) {
  std::vector<Key> keys;
  for (const V value : widened<V>(column)) keys.push_back(Key{key_of(value, is_max)});
  return keys;
}

}  // namespace

Array with_nulls(Array array, std::span<const uint8_t> is_valid) {
  BitmapBuilder bits;
  for (const uint8_t valid : is_valid) bits.append(valid != 0);
  array.null_count = bits.length() - bits.ones();
  array.validity = array.null_count > 0 ? bits.finish() : Buffer{};
  return array;
}

template <typename V>
Array narrowed(const DataType& type, const std::vector<V>& values) {
  if constexpr (std::is_same_v<V, __int128>) {
    return elements_of(type, values);
  } else {
    std::vector<Word> words;
    words.reserve(values.size());
    for (const V value : values) {
      if constexpr (!std::is_same_v<V, double>) {
        words.push_back(static_cast<Word>(value));
      } else if (type.id == TypeId::kFloat32) {
        words.push_back(std::bit_cast<uint32_t>(static_cast<float>(value)));
      } else {
        words.push_back(std::bit_cast<Word>(value));
      }
    }
    return elements_of(type, words);
  }
}

template <typename V>
std::vector<V> widened(const Array& column) {
  std::vector<V> values(static_cast<size_t>(column.length));
  if (values.empty()) return values;
  const V* loaded = load_values<V>(column, nullptr, 0, column.length, values.data());
  if (loaded != values.data()) values.assign(loaded, loaded + column.length);
  return values;
}

template Array narrowed<int64_t>(const DataType&, const std::vector<int64_t>&);
template Array narrowed<uint64_t>(const DataType&, const std::vector<uint64_t>&);
template Array narrowed<double>(const DataType&, const std::vector<double>&);
template Array narrowed<__int128>(const DataType&, const std::vector<__int128>&);
template std::vector<int64_t> widened<int64_t>(const Array&);
template std::vector<uint64_t> widened<uint64_t>(const Array&);
template std::vector<double> widened<double>(const Array&);
template std::vector<__int128> widened<__int128>(const Array&);

Array values_of_keys(const DataType& type, std::span<const int64_t> keys, bool is_max) {
  if (type.is_floating()) return narrowed(type, values_of<double>(keys, is_max));
  if (is_unsigned(type)) return narrowed(type, values_of<uint64_t>(keys, is_max));
  return narrowed(type, values_of<int64_t>(keys, is_max));
}

Array values_of_keys(const DataType& type, std::span<const __int128> keys, bool is_max) {
  std::vector<__int128> values;
  values.reserve(keys.size());
  for (const __int128 key : keys) values.push_back(is_max ? ~key : key);
  return elements_of(type, values);
}

template <>
std::vector<int64_t> keys_of_values<int64_t>(const Array& values, bool is_max) {
  if (values.type.is_floating()) return keys_of<double, int64_t>(values, is_max);
  if (is_unsigned(values.type)) return keys_of<uint64_t, int64_t>(values, is_max);
  return keys_of<int64_t, int64_t>(values, is_max);
}

template <>
std::vector<__int128> keys_of_values<__int128>(const Array& values, bool is_max) {
  return keys_of<__int128, __int128>(values, is_max);
}

}  // namespace pystream::windows
