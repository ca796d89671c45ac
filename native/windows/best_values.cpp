#include "windows/best_values.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <type_traits>

#include "windows/list_elements.hpp"
#include "windows/load_values.hpp"
#include "windows/order_keys.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

// Keeps `item` in a heap of at most k items, by `is_better`, if it is among the k best. Returns
// whether it is; then the worst that there was no room for is gone.
template <typename T, typename IsBetter>
bool keep_best(SlotArena<T>* heaps, uint32_t slot, int64_t k, const T& item, IsBetter is_better) {
  const int64_t size = heaps->size(slot);
  if (size < k) {
    append_to(heaps, slot, item);
    std::push_heap(heaps->data(slot), heaps->data(slot) + size + 1, is_better);
    return true;
  }
  T* heap = heaps->data(slot);
  if (!is_better(item, heap[0])) return false;
  std::pop_heap(heap, heap + size, is_better);
  heap[size - 1] = item;
  std::push_heap(heap, heap + size, is_better);
  return true;
}

// Numbers, times, bool and decimals: a value is kept as its key.
template <typename Key>
class BestNumbers final : public SideState {
 public:
  BestNumbers(const SideLayout& side, const DataType& type)
      : k_(side.k), is_max_(side.kind == SideKind::kTopK), type_(type) {}

  std::unique_ptr<SideState> clone() const override { return std::make_unique<BestNumbers>(*this); }
  void resize(int64_t slots) override { heaps_.resize(slots); }
  void clear(uint32_t slot) override { heaps_.clear(slot); }
  int64_t bytes() const override { return heaps_.bytes(); }

  void add(const SideRows& rows) override {
    if constexpr (std::is_same_v<Key, __int128>) {
      add_values<__int128>(rows);
    } else if (type_.is_floating()) {
      add_values<double>(rows);
    } else if (is_unsigned()) {
      add_values<uint64_t>(rows);
    } else {
      add_values<int64_t>(rows);
    }
  }

  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override {
    const auto& from = static_cast<const BestNumbers&>(other);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t theirs = from.heaps_.size(other_slots[i]);
      for (int64_t at = 0; at < theirs; ++at) {
        const Key key = from.heaps_.data(other_slots[i])[at];  // runs may move
        keep_best(&heaps_, slots[i], k_, key, std::less<Key>());
      }
    }
  }

  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override {
    return lists(*result.field.type.element, slots);
  }

  std::vector<Field> state_fields() const override { return {state_list("values", type_)}; }
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override {
    return {lists(type_, slots)};
  }
  void restore(std::span<const Array> columns) override {
    const std::vector<Key> keys = keys_of_values<Key>(*columns[0].elements, is_max_);
    for (int64_t row = 0; row < columns[0].length; ++row) {
      const ListRange range = list_range(columns[0], row);
      for (int64_t at = range.begin; at < range.end; ++at) {
        keep_best(&heaps_, static_cast<uint32_t>(row), k_, keys[static_cast<size_t>(at)],
                  std::less<Key>());
      }
    }
  }

 private:
  bool is_unsigned() const { return type_.is_integer() && !type_.is_signed_integer(); }

  template <typename V>
  void add_values(const SideRows& rows) {
    std::vector<V> scratch(static_cast<size_t>(rows.count));
    const V* values =
        load_values<V>(rows.column, rows.indices, rows.begin, rows.count, scratch.data());
    for (int64_t i = 0; i < rows.count; ++i) {
      keep_best(&heaps_, rows.slots[i], k_, Key{key_of(values[i], is_max_)}, std::less<Key>());
    }
  }

  // The values of each slot, best first.
  Array lists(const DataType& type, std::span<const uint32_t> slots) const {
    ListOffsets offsets;
    std::vector<Key> sorted;
    for (const uint32_t slot : slots) {
      const auto begin = static_cast<std::ptrdiff_t>(sorted.size());
      sorted.insert(sorted.end(), heaps_.data(slot), heaps_.data(slot) + heaps_.size(slot));
      std::sort(sorted.begin() + begin, sorted.end());
      offsets.end_list(sorted.size());
    }
    return offsets.finish(values_of_keys(type, std::span<const Key>(sorted), is_max_));
  }

  // Configuration.
  int64_t k_;
  bool is_max_;
  DataType type_;

  // State that is checkpointed.
  SlotArena<Key> heaps_;
};

// Text and binary, by their bytes. Those that fall out of a heap stay in its run of bytes until
// they are more than those that are in it.
class BestTexts final : public SideState {
 public:
  BestTexts(const SideLayout& side, const DataType& type)
      : k_(side.k), is_max_(side.kind == SideKind::kTopK), type_(type) {}

  std::unique_ptr<SideState> clone() const override { return std::make_unique<BestTexts>(*this); }

  void resize(int64_t slots) override {
    const int64_t before = in_use_.size();
    heaps_.resize(slots);
    texts_.resize(slots);
    in_use_.resize(slots);
    for (int64_t slot = before; slot < slots; ++slot) in_use_[slot] = 0;
  }

  void add(const SideRows& rows) override {
    visit_texts(rows, [&](int64_t i, std::string_view text) { keep(rows.slots[i], text); });
  }

  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override {
    const auto& from = static_cast<const BestTexts&>(other);
    std::string text;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t theirs = from.heaps_.size(other_slots[i]);
      for (int64_t at = 0; at < theirs; ++at) {
        text = from.texts_.view(other_slots[i], from.heaps_.data(other_slots[i])[at]);
        keep(slots[i], text);  // of a copy, since runs may move
      }
    }
  }

  void clear(uint32_t slot) override {
    heaps_.clear(slot);
    texts_.clear(slot);
    in_use_[slot] = 0;
  }

  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override {
    return lists(*result.field.type.element, slots);
  }

  std::vector<Field> state_fields() const override { return {state_list("values", type_)}; }
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override {
    return {lists(type_, slots)};
  }
  void restore(std::span<const Array> columns) override {
    for (int64_t row = 0; row < columns[0].length; ++row) {
      const ListRange range = list_range(columns[0], row);
      for (int64_t at = range.begin; at < range.end; ++at) {
        keep(static_cast<uint32_t>(row), columns[0].elements->view(at));
      }
    }
  }

  int64_t bytes() const override { return heaps_.bytes() + texts_.bytes() + in_use_.bytes(); }

 private:
  static constexpr int64_t kCompactMin = 256;  // bytes

  bool is_better(std::string_view a, std::string_view b) const { return is_max_ ? b < a : a < b; }

  // The texts of each slot, best first.
  Array lists(const DataType& type, std::span<const uint32_t> slots) const {
    ListOffsets offsets;
    std::vector<std::string_view> elements;
    for (const uint32_t slot : slots) {
      const auto begin = static_cast<int64_t>(elements.size());
      for (int64_t at = 0; at < heaps_.size(slot); ++at) {
        elements.push_back(texts_.view(slot, heaps_.data(slot)[at]));
      }
      std::sort(elements.begin() + begin, elements.end(),
                [&](std::string_view a, std::string_view b) { return is_better(a, b); });
      offsets.end_list(elements.size());
    }
    return offsets.finish(elements_of(type, elements));
  }

  void keep(uint32_t slot, std::string_view text) {
    const int64_t size = heaps_.size(slot);
    if (size == k_) {
      const Text worst = heaps_.data(slot)[0];
      if (!is_better(text, texts_.view(slot, worst))) return;
      in_use_[slot] -= worst.size;
    }
    const Text item = texts_.append(slot, text);
    keep_best(&heaps_, slot, k_, item, [&](const Text& a, const Text& b) {
      return is_better(texts_.view(slot, a), texts_.view(slot, b));
    });
    in_use_[slot] += item.size;
    if (texts_.size(slot) > std::max(kCompactMin, 2 * in_use_[slot])) compact(slot);
  }

  void compact(uint32_t slot) {
    std::string kept;
    kept.reserve(static_cast<size_t>(in_use_[slot]));
    for (int64_t at = 0; at < heaps_.size(slot); ++at) {
      Text& item = heaps_.data(slot)[at];
      const auto begin = static_cast<uint32_t>(kept.size());
      kept += texts_.view(slot, item);
      item.begin = begin;
    }
    texts_.assign(slot, kept);
  }

  // Configuration.
  int64_t k_;
  bool is_max_;
  DataType type_;

  // State that is checkpointed.
  SlotArena<Text> heaps_;
  SlotTexts texts_;
  state::LargeArray<int64_t> in_use_;  // bytes of the texts in each heap
};

}  // namespace

std::unique_ptr<SideState> make_best_values(const SideLayout& side, const DataType& type) {
  if (type.is_var_binary()) return std::make_unique<BestTexts>(side, type);
  if (type.id == TypeId::kDecimal128) return std::make_unique<BestNumbers<__int128>>(side, type);
  return std::make_unique<BestNumbers<int64_t>>(side, type);
}

}  // namespace pystream::windows
