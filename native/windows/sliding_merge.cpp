#include "windows/sliding_merge.hpp"

#include <utility>

namespace pystream::windows {

namespace {
// Two stacks merge a window's keys about three times a slide, and hold them once per slice. They
// pay from so many slice keys per window key on.
constexpr int64_t kWorthStacking = 4;
}  // namespace

void SlidingMerge::push(int64_t slice, AccumulatorTable&& table, int64_t keys, uint32_t universe) {
  if (is_stacked_) {
    if (back_total_) {
      back_total_->merge(table, nullptr, universe);
    } else {
      back_total_ = table;
    }
  }
  back_.push_back({slice, keys, std::move(table)});
}

void SlidingMerge::add_late(int64_t slice, AccumulatorTable&& table, uint32_t universe) {
  const auto held = late_.find(slice);
  if (held == late_.end()) {
    late_.emplace(slice, std::move(table));
  } else {
    held->second.merge(table, nullptr, universe);
  }
}

void SlidingMerge::evict_before(int64_t slice, uint32_t universe) {
  late_.erase(late_.begin(), late_.lower_bound(slice));
  if (!is_stacked_) {
    pop_back_before(slice);
    if (should_stack_) turn_over(universe);
    return;
  }
  while (!front_.empty() && front_.back().slice < slice) front_.pop_back();
  const bool is_back_current = back_.empty() ? !front_.empty() : back_.front().slice >= slice;
  if (is_back_current) return;
  // The total of the back holds what has to go. All of the front is earlier, so it is empty.
  pop_back_before(slice);
  back_total_.reset();
  is_stacked_ = false;
  if (should_stack_) turn_over(universe);
}

void SlidingMerge::pop_back_before(int64_t slice) {
  while (!back_.empty() && back_.front().slice < slice) back_.pop_front();
}

void SlidingMerge::turn_over(uint32_t universe) {
  is_stacked_ = true;
  while (!back_.empty()) {
    Entry entry = std::move(back_.back());
    back_.pop_back();
    const auto late = late_.find(entry.slice);
    if (late != late_.end()) {
      entry.table.merge(late->second, nullptr, universe);
      late_.erase(late);
    }
    if (!front_.empty()) entry.table.merge(front_.back().table, nullptr, universe);
    front_.push_back(std::move(entry));
  }
}

void SlidingMerge::clear() {
  front_.clear();
  back_.clear();
  back_total_.reset();
  late_.clear();
  is_stacked_ = false;
}

AccumulatorTable SlidingMerge::total(uint32_t universe) {
  AccumulatorTable result(layout_, std::move(spare_));
  if (!front_.empty()) result = front_.back().table;
  if (is_stacked_) {
    if (back_total_) result.merge(*back_total_, nullptr, universe);
  } else {
    for (const Entry& entry : back_) result.merge(entry.table, nullptr, universe);
  }
  for (const auto& [slice, table] : late_) result.merge(table, nullptr, universe);
  return result;
}

void SlidingMerge::done(AccumulatorTable&& total, int64_t keys) {
  should_stack_ = slice_keys() > kWorthStacking * keys;
  spare_ = std::move(total).take_storage();
}

int64_t SlidingMerge::slice_keys() const {
  int64_t keys = 0;
  for (const Entry& entry : front_) keys += entry.keys;
  for (const Entry& entry : back_) keys += entry.keys;
  return keys;
}

std::optional<int64_t> SlidingMerge::last_slice() const {
  std::optional<int64_t> last;
  if (!front_.empty()) last = front_.front().slice;
  if (!back_.empty()) last = back_.back().slice;
  if (!late_.empty() && (!last || late_.rbegin()->first > *last)) last = late_.rbegin()->first;
  return last;
}

}  // namespace pystream::windows
