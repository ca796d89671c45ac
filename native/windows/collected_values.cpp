#include "windows/collected_values.hpp"

#include <algorithm>
#include <type_traits>

#include "base/error.hpp"
#include "windows/list_elements.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

template <typename Value>  // Word, Wide or Text
class CollectedValues final : public SideState {
 public:
  explicit CollectedValues(const DataType& type) : type_(type) {}

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
    return lists(*result.field.type.element, slots);
  }

  std::vector<Field> state_fields() const override {
    const DataType whole = DataType::of(TypeId::kInt64);
    return {state_list("times", whole), state_list("arrivals", whole), state_list("values", type_)};
  }

  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override {
    const auto numbers = [&](int64_t Item::* field) {
      std::vector<Item> sorted;
      return list_column<int64_t>(DataType::of(TypeId::kInt64), slots,
                                  [&](uint32_t slot, FixedBuilder<int64_t>* out) {
                                    sort_items(slot, &sorted);
                                    for (const Item& item : sorted) out->append(item.*field);
                                  });
    };
    return {numbers(&Item::time), numbers(&Item::arrival), lists(type_, slots)};
  }

  void restore(std::span<const Array> columns) override {
    const Array& values = *columns[2].elements;
    const SideRows rows{values, nullptr, 0, values.length, nullptr};
    // By element; of texts, where they are.
    std::vector<Value> read;
    if constexpr (std::is_same_v<Value, Wide>) {
      visit_wides(rows, [&](int64_t, Wide value) { read.push_back(value); });
    } else if constexpr (!kIsText) {
      visit_words(rows, [&](int64_t, Word value) { read.push_back(value); });
    }
    for (int64_t row = 0; row < columns[2].length; ++row) {
      const auto slot = static_cast<uint32_t>(row);
      const ListRange range = list_range(columns[2], row);
      const int64_t* times = of_row(columns[0], row, range);
      const int64_t* arrivals = of_row(columns[1], row, range);
      for (int64_t at = range.begin; at < range.end; ++at) {
        Item item{times[at - range.begin], arrivals[at - range.begin], Value{}};
        if constexpr (kIsText) {
          item.value = texts_.append(slot, values.view(at));
        } else {
          item.value = read[static_cast<size_t>(at)];
        }
        append_to(&items_, slot, item);
      }
    }
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

  void sort_items(uint32_t slot, std::vector<Item>* sorted) const {
    sorted->assign(items_.data(slot), items_.data(slot) + items_.size(slot));
    if (!std::is_sorted(sorted->begin(), sorted->end())) std::sort(sorted->begin(), sorted->end());
  }

  // The values of each slot in their order.
  Array lists(const DataType& type, std::span<const uint32_t> slots) const {
    using Element = std::conditional_t<kIsText, std::string_view, Value>;
    ListOffsets offsets;
    std::vector<Element> elements;
    std::vector<Item> sorted;
    for (const uint32_t slot : slots) {
      sort_items(slot, &sorted);
      for (const Item& item : sorted) {
        if constexpr (kIsText) {
          elements.push_back(texts_.view(slot, item.value));
        } else {
          elements.push_back(item.value);
        }
      }
      offsets.end_list(elements.size());
    }
    return offsets.finish(elements_of(type, elements));
  }

  // The numbers beside the values of a row.
  static const int64_t* of_row(const Array& numbers, int64_t row, ListRange values) {
    const ListRange range = list_range(numbers, row);
    if (range.end - range.begin != values.end - values.begin) {
      throw Error(
          ErrorCode::kCheckpoint,
          "a list in a snapshot has another number of times than of values. It is damaged.");
    }
    return numbers.elements->data<int64_t>() + range.begin;
  }

  DataType type_;
  SlotArena<Item> items_;
  SlotTexts texts_;
};

}  // namespace

std::unique_ptr<SideState> make_collected_values(const DataType& type) {
  if (type.is_var_binary()) return std::make_unique<CollectedValues<Text>>(type);
  if (type.id == TypeId::kDecimal128) return std::make_unique<CollectedValues<Wide>>(type);
  return std::make_unique<CollectedValues<Word>>(type);
}

}  // namespace pystream::windows
