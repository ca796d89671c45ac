#include "windows/distinct_values.hpp"

#include <algorithm>
#include <vector>

#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

// Fewer values than this are not worth forgetting.
constexpr int64_t kForgetMin = 1024;
// Values that go from one dictionary to another at a time: all of them may be more than a column of
// text can hold.
constexpr size_t kGatherValues = 16384;

// The rows as an array of their own, without nulls.
Array rows_of(const SideRows& rows) {
  Array valid = rows.column;  // shares buffers
  valid.null_count = 0;
  valid.validity = {};
  if (rows.indices == nullptr) return slice(valid, rows.begin, rows.count);
  return take(valid, {rows.indices, static_cast<size_t>(rows.count)});
}

}  // namespace

void DistinctValues::resize(int64_t slots) {
  sets_.resize(slots);
  slots_ = slots;
}

void DistinctValues::add(const SideRows& rows) {
  std::vector<uint32_t> numbers(static_cast<size_t>(rows.count));
  values_.find_or_insert(rows_of(rows), numbers.data());
  for (int64_t i = 0; i < rows.count; ++i) {
    sets_.find_or_insert(rows.slots[i], numbers[static_cast<size_t>(i)]);
  }
}

void DistinctValues::merge(const SideState& other, const uint32_t* slots,
                           const uint32_t* other_slots, int64_t count) {
  const auto& from = static_cast<const DistinctValues&>(other);
  if (&from == this) {
    for (int64_t i = 0; i < count; ++i) {
      sets_.for_each(other_slots[i],
                     [&](const Member& member) { sets_.find_or_insert(slots[i], member.number); });
    }
    return;
  }
  // Numbers there to numbers here, of the values that these slots use.
  std::vector<uint32_t> mine(from.values_.size());
  std::vector<uint32_t> used;
  for (int64_t i = 0; i < count; ++i) {
    from.sets_.for_each(other_slots[i], [&](const Member& member) {
      if (mine[member.number] != 0) return;
      mine[member.number] = 1;
      used.push_back(member.number);
    });
  }
  std::sort(used.begin(), used.end());  // as they came there
  std::vector<uint32_t> found(std::min(used.size(), kGatherValues));
  for (size_t begin = 0; begin < used.size(); begin += kGatherValues) {
    const size_t length = std::min(used.size() - begin, kGatherValues);
    values_.find_or_insert(from.values_.gather({used.data() + begin, length}), found.data());
    for (size_t i = 0; i < length; ++i) mine[used[begin + i]] = found[i];
  }
  for (int64_t i = 0; i < count; ++i) {
    from.sets_.for_each(other_slots[i], [&](const Member& member) {
      sets_.find_or_insert(slots[i], mine[member.number]);
    });
  }
}

void DistinctValues::clear(uint32_t slot) {
  cleared_ += sets_.size(slot);
  sets_.clear(slot);
  // As much is cleared as is looked at, so this costs no more than what it follows.
  const int64_t looked_at = std::max<int64_t>({kForgetMin, values_.size(), sets_.total(), slots_});
  if (2 * cleared_ > looked_at) forget_unused();
}

// Closes up the dictionary, so that a table whose slots come and go does not grow for ever.
void DistinctValues::forget_unused() {
  cleared_ = 0;
  std::vector<uint32_t> new_numbers(values_.size());
  const auto slots = static_cast<uint32_t>(slots_);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    sets_.for_each(slot, [&](const Member& member) { new_numbers[member.number] = 1; });
  }
  std::vector<uint32_t> kept;
  for (uint32_t number = 1; number < new_numbers.size(); ++number) {
    if (new_numbers[number] == 0) continue;
    kept.push_back(number);
    new_numbers[number] = static_cast<uint32_t>(kept.size());
  }
  values_.keep(kept);
  std::vector<Member> members;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    members.clear();
    sets_.for_each(slot, [&](const Member& member) { members.push_back(member); });
    sets_.clear(slot);
    for (const Member& member : members) sets_.find_or_insert(slot, new_numbers[member.number]);
  }
}

Array DistinctValues::emit(const ResultLayout& result, std::span<const uint32_t> slots) const {
  Array array;
  array.type = result.field.type;
  array.length = static_cast<int64_t>(slots.size());
  MutableBuffer values(array.length * static_cast<int64_t>(sizeof(int64_t)));
  for (size_t i = 0; i < slots.size(); ++i) values.as<int64_t>()[i] = sets_.size(slots[i]);
  array.values = values.freeze();
  return array;
}

std::vector<Field> DistinctValues::state_fields() const {
  return {state_list("values", values_.type())};
}

std::vector<Array> DistinctValues::snapshot(std::span<const uint32_t> slots) const {
  ListOffsets offsets;
  std::vector<uint32_t> numbers;
  for (const uint32_t slot : slots) {
    const auto begin = static_cast<std::ptrdiff_t>(numbers.size());
    sets_.for_each(slot, [&](const Member& member) { numbers.push_back(member.number); });
    std::sort(numbers.begin() + begin, numbers.end());  // as they came
    offsets.end_list(numbers.size());
  }
  return {offsets.finish(values_.gather(numbers))};
}

void DistinctValues::restore(std::span<const Array> columns) {
  const Array& values = *columns[0].elements;
  std::vector<uint32_t> numbers(static_cast<size_t>(values.length));
  values_.find_or_insert(values, numbers.data());
  for (int64_t row = 0; row < columns[0].length; ++row) {
    const ListRange range = list_range(columns[0], row);
    for (int64_t at = range.begin; at < range.end; ++at) {
      sets_.find_or_insert(static_cast<uint32_t>(row), numbers[static_cast<size_t>(at)]);
    }
  }
}

}  // namespace pystream::windows
