#include "windows/count_slices.hpp"

#include <string>
#include <utility>

#include "base/error.hpp"

namespace pystream::windows {

uint32_t CountSlices::take_number() {
  ++in_use_;
  uint32_t slice = free_;
  if (slice != kNoSlice) {
    free_ = slices_[slice].newer;
  } else {
    if (slices_.size() >= state::kMaxKeys) {
      throw Error(ErrorCode::kOperator, "count windows hold more than " +
                                            std::to_string(state::kMaxKeys) +
                                            " slices. Use a larger slide, or fewer keys.");
    }
    slice = size();
    slices_.resize(slices_.size() + 1);
  }
  return slice;
}

uint32_t CountSlices::open(uint32_t key) {
  const uint32_t slice = take_number();
  CountKey& of_key = keys_[key];
  slices_[slice] = {of_key.records, INT64_MAX, INT64_MIN, key, kNoSlice};
  (of_key.newest == kNoSlice ? of_key.oldest : slices_[of_key.newest].newer) = slice;
  of_key.newest = slice;
  return slice;
}

void CountSlices::open_total(uint32_t key) {
  const uint32_t total = take_number();
  slices_[total] = {keys_[key].records, INT64_MAX, INT64_MIN, key, kNoSlice};
  keys_[key].total = total;
}

uint32_t CountSlices::pop(uint32_t key) {
  CountKey& of_key = keys_[key];
  const uint32_t slice = of_key.oldest;
  of_key.oldest = slices_[slice].newer;
  if (of_key.oldest == kNoSlice) of_key.newest = kNoSlice;
  if (of_key.pushed == slice) of_key.pushed = kNoSlice;
  return slice;
}

void CountSlices::release(uint32_t slice) {
  slices_[slice].key = state::kNoId;
  slices_[slice].newer = free_;
  free_ = slice;
  --in_use_;
}

void CountSlices::mark_keys(std::span<uint8_t> live) const {
  for (size_t id = 0; id < keys_.size(); ++id) {
    if (keys_[id].oldest != kNoSlice) live[id] = 1;
  }
}

void CountSlices::remap_keys(std::span<const uint32_t> new_ids, uint32_t universe) {
  const std::vector<CountKey> before = std::exchange(keys_, {});
  keys_.resize(universe);
  for (size_t id = 0; id < before.size(); ++id) {
    if (before[id].oldest != kNoSlice) keys_[new_ids[id]] = before[id];
  }
  for (int64_t i = 0; i < slices_.size(); ++i) {
    if (slices_[i].key != state::kNoId) slices_[i].key = new_ids[slices_[i].key];
  }
}

std::vector<uint32_t> CountSlices::compact() {
  std::vector<uint32_t> numbers(static_cast<size_t>(slices_.size()), kNoSlice);
  state::LargeArray<CountSlice> kept;
  for (uint32_t i = 0; i < size(); ++i) {
    if (slices_[i].key == state::kNoId) continue;
    numbers[i] = static_cast<uint32_t>(kept.size());
    kept.push_back(slices_[i]);
  }
  for (int64_t i = 0; i < kept.size(); ++i) {
    if (kept[i].newer != kNoSlice) kept[i].newer = numbers[kept[i].newer];
  }
  for (CountKey& key : keys_) {
    for (uint32_t* slice : {&key.oldest, &key.newest, &key.total, &key.front_newest, &key.pushed}) {
      if (*slice != kNoSlice) *slice = numbers[*slice];
    }
  }
  slices_ = std::move(kept);
  free_ = kNoSlice;
  return numbers;
}

}  // namespace pystream::windows
