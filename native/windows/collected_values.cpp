#include "windows/collected_values.hpp"

#include <algorithm>
#include <type_traits>

#include "windows/list_elements.hpp"

namespace pystream::windows {

namespace {

template <typename Value>  // Word, Wide or Text
class CollectedValues final : public SideState {
 public:
  std::unique_ptr<SideState> clone() const override {
    return std::make_unique<CollectedValues>(*this);
  }

  void resize(int64_t slots) override {
    items_.resize(slots);
    if constexpr (kIsText) texts_.resize(slots);
  }

  void add(const SideRows& rows) override {
    const auto keep = [&](int64_t i, Value value) {
      const int64_t row = rows.row(i);
      append_to(&items_, rows.slots[i], {rows.times[row], rows.first_arrival + row, value});
    };
    if constexpr (kIsText) {
      visit_texts(rows, [&](int64_t i, std::string_view text) {
        keep(i, texts_.append(rows.slots[i], text));
      });
    } else if constexpr (std::is_same_v<Value, Wide>) {
      visit_wides(rows, keep);
    } else {
      visit_words(rows, keep);
    }
  }

  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override {
    const auto& from = static_cast<const CollectedValues&>(other);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t before = items_.size(slots[i]);
      const int64_t theirs = from.items_.size(other_slots[i]);
      if (theirs == 0) continue;
      if (before + theirs > INT32_MAX) throw_long_list();
      uint32_t shift = 0;
      if constexpr (kIsText) shift = texts_.append_all(slots[i], from.texts_, other_slots[i]);
      items_.reserve(slots[i], before + theirs);  // moves runs, so `from` is asked behind it
      Item* to = items_.data(slots[i]) + before;
      std::copy_n(from.items_.data(other_slots[i]), theirs, to);
      if constexpr (kIsText) {
        for (int64_t at = 0; at < theirs; ++at) to[at].value.begin += shift;
      }
      items_.set_size(slots[i], before + theirs);
    }
  }

  void clear(uint32_t slot) override {
    items_.clear(slot);
    if constexpr (kIsText) texts_.clear(slot);
  }

  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override {
    using Element = std::conditional_t<kIsText, std::string_view, Value>;
    ListOffsets offsets;
    std::vector<Element> elements;
    std::vector<Item> sorted;
    for (const uint32_t slot : slots) {
      sorted.assign(items_.data(slot), items_.data(slot) + items_.size(slot));
      if (!std::is_sorted(sorted.begin(), sorted.end())) std::sort(sorted.begin(), sorted.end());
      for (const Item& item : sorted) {
        if constexpr (kIsText) {
          elements.push_back(texts_.view(slot, item.value));
        } else {
          elements.push_back(item.value);
        }
      }
      offsets.end_list(elements.size());
    }
    return offsets.finish(elements_of(*result.field.type.element, elements));
  }

  int64_t bytes() const override { return items_.bytes() + texts_.bytes(); }

 private:
  static constexpr bool kIsText = std::is_same_v<Value, Text>;

  struct Item {
    int64_t time;
    int64_t arrival;
    Value value;

    bool operator<(const Item& other) const {
      return time < other.time || (time == other.time && arrival < other.arrival);
    }
  };

  SlotArena<Item> items_;
  SlotTexts texts_;
};

}  // namespace

std::unique_ptr<SideState> make_collected_values(const DataType& type) {
  if (type.is_var_binary()) return std::make_unique<CollectedValues<Text>>();
  if (type.id == TypeId::kDecimal128) return std::make_unique<CollectedValues<Wide>>();
  return std::make_unique<CollectedValues<Word>>();
}

}  // namespace pystream::windows
