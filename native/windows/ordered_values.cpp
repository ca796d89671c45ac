#include "windows/ordered_values.hpp"

#include <limits>
#include <numeric>
#include <vector>

#include "windows/accumulator_values.hpp"
#include "windows/load_values.hpp"
#include "windows/order_keys.hpp"
#include "windows/slot_values.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

constexpr int64_t kNoArrival = INT64_MAX;

template <typename Key>
class OrderedValues final : public SideState {
 public:
  OrderedValues(const SideLayout& side, const DataType& type)
      : is_max_(side.kind == SideKind::kLast || side.kind == SideKind::kArgMax),
        is_latest_(side.kind == SideKind::kLast),
        by_type_(side.by >= 0 ? side.by_type : DataType::of(TypeId::kInt64)),
        type_(type),
        values_(type) {}

  std::unique_ptr<SideState> clone() const override {
    return std::make_unique<OrderedValues>(*this);
  }

  void resize(int64_t slots) override {
    const int64_t before = places_.size();
    places_.resize(slots);
    for (int64_t slot = before; slot < slots; ++slot) places_[slot] = Place{};
    values_.resize(slots);
  }

  void add(const SideRows& rows) override {
    std::vector<int32_t> kept(static_cast<size_t>(rows.count));
    std::vector<uint32_t> slots(rows.slots, rows.slots + rows.count);
    size_t count = 0;
    const bool has_nulls = rows.by != nullptr && rows.by->null_count > 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.row(i);
      kept[count] = static_cast<int32_t>(row);
      slots[count] = rows.slots[i];
      count += !has_nulls || get_bit(rows.by->validity.data, row) ? 1 : 0;
    }
    kept.resize(count);
    if (rows.by == nullptr) {
      std::vector<int64_t> times(count);
      for (size_t i = 0; i < count; ++i) times[i] = rows.times[kept[i]];
      choose(rows, &kept, &slots, times.data());
    } else if constexpr (std::is_same_v<Key, __int128>) {
      choose_by<__int128>(rows, &kept, &slots);
    } else if (rows.by->type.is_floating()) {
      choose_by<double>(rows, &kept, &slots);
    } else if (rows.by->type.is_integer() && !rows.by->type.is_signed_integer()) {
      choose_by<uint64_t>(rows, &kept, &slots);
    } else {
      choose_by<int64_t>(rows, &kept, &slots);
    }
  }

  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override {
    const auto& from = static_cast<const OrderedValues&>(other);
    for (int64_t i = 0; i < count; ++i) {
      const Place theirs = from.places_[other_slots[i]];
      if (!theirs.is_before(places_[slots[i]])) continue;
      places_[slots[i]] = theirs;
      values_.copy(slots[i], from.values_, other_slots[i]);
    }
  }

  void clear(uint32_t slot) override {
    places_[slot] = Place{};
    values_.clear(slot);
  }

  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override {
    std::vector<uint8_t> is_valid(slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
      is_valid[i] = places_[slots[i]].arrival != kNoArrival ? 1 : 0;
    }
    return values_.gather(result.field.type, slots, is_valid);
  }

  int64_t bytes() const override { return places_.bytes() + values_.bytes(); }

  std::vector<Field> state_fields() const override {
    return {{"by", by_type_, true}, state_field("arrival", TypeId::kInt64), {"value", type_, true}};
  }

  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override {
    std::vector<Key> keys;
    std::vector<int64_t> arrivals;
    std::vector<uint8_t> is_valid;
    for (const uint32_t slot : slots) {
      const Place& place = places_[slot];
      keys.push_back(place.key);
      arrivals.push_back(is_latest_ ? ~place.arrival : place.arrival);
      is_valid.push_back(place.arrival != kNoArrival ? 1 : 0);
    }
    return {with_nulls(values_of_keys(by_type_, keys, is_max_), is_valid),
            with_nulls(narrowed(DataType::of(TypeId::kInt64), arrivals), is_valid),
            values_.gather(type_, slots, is_valid)};
  }

  void restore(std::span<const Array> columns) override {
    const std::vector<Key> keys = keys_of_values<Key>(columns[0], is_max_);
    const std::vector<int64_t> arrivals = widened<int64_t>(columns[1]);
    std::vector<int32_t> rows;
    std::vector<uint32_t> slots;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!columns[0].is_valid(static_cast<int64_t>(i))) continue;
      const auto slot = static_cast<uint32_t>(i);
      places_[slot] = {keys[i], is_latest_ ? ~arrivals[i] : arrivals[i]};
      rows.push_back(static_cast<int32_t>(i));
      slots.push_back(slot);
    }
    values_.set(columns[2], rows.data(), slots.data(), static_cast<int64_t>(rows.size()));
  }

 private:
  // Where a row stands: the least wins. No row stands behind all.
  struct Place {
    Key key = std::numeric_limits<Key>::max();
    int64_t arrival = kNoArrival;

    bool is_before(const Place& other) const {
      return key < other.key || (key == other.key && arrival < other.arrival);
    }
  };

  template <typename V>
  void choose_by(const SideRows& rows, std::vector<int32_t>* kept, std::vector<uint32_t>* slots) {
    std::vector<V> scratch(kept->size());
    const auto count = static_cast<int64_t>(kept->size());
    choose(rows, kept, slots, load_values<V>(*rows.by, kept->data(), 0, count, scratch.data()));
  }

  // Rows that win go on to the front of the lists, and from there into their slots.
  template <typename V>
  void choose(const SideRows& rows, std::vector<int32_t>* kept, std::vector<uint32_t>* slots,
              const V* by) {
    size_t won = 0;
    for (size_t i = 0; i < kept->size(); ++i) {
      const int64_t arrival = rows.first_arrival + (*kept)[i];
      const Place place{key_of(by[i], is_max_), is_latest_ ? ~arrival : arrival};
      Place& held = places_[(*slots)[i]];
      if (!place.is_before(held)) continue;
      held = place;
      (*kept)[won] = (*kept)[i];
      (*slots)[won++] = (*slots)[i];
    }
    values_.set(rows.column, kept->data(), slots->data(), static_cast<int64_t>(won));
  }

  // Configuration.
  bool is_max_;
  bool is_latest_;
  DataType by_type_;
  DataType type_;

  // State that is checkpointed.
  state::LargeArray<Place> places_;
  SlotValues values_;
};

}  // namespace

std::unique_ptr<SideState> make_ordered_values(const SideLayout& side, const DataType& type) {
  if (side.by >= 0 && side.by_type.id == TypeId::kDecimal128) {
    return std::make_unique<OrderedValues<__int128>>(side, type);
  }
  return std::make_unique<OrderedValues<int64_t>>(side, type);
}

}  // namespace pystream::windows
