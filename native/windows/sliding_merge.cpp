#include "windows/sliding_merge.hpp"

#include <utility>

namespace pystream::windows {

void SlidingMerge::push(int64_t slice, AccumulatorTable&& table, uint32_t universe) {
  if (back_total_) {
    back_total_->merge(table, nullptr, universe);
  } else {
    back_total_ = table;
  }
  back_.push_back({slice, std::move(table)});
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
  while (!front_.empty() && front_.back().slice < slice) front_.pop_back();
  if (back_.empty() || back_.front().slice >= slice) return;
  // The total of the back holds what has to go. All of the front is earlier, so it is empty.
  while (!back_.empty() && back_.front().slice < slice) back_.pop_front();
  turn_over(universe);
}

void SlidingMerge::turn_over(uint32_t universe) {
  back_total_.reset();
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
}

AccumulatorTable SlidingMerge::total(uint32_t universe) const {
  AccumulatorTable result(layout_);
  if (!front_.empty()) {
    result = front_.back().table;
    if (back_total_) result.merge(*back_total_, nullptr, universe);
  } else if (back_total_) {
    result = *back_total_;
  }
  for (const auto& [slice, table] : late_) result.merge(table, nullptr, universe);
  return result;
}

std::optional<int64_t> SlidingMerge::last_slice() const {
  std::optional<int64_t> last;
  if (!front_.empty()) last = front_.front().slice;
  if (!back_.empty()) last = back_.back().slice;
  if (!late_.empty() && (!last || late_.rbegin()->first > *last)) last = late_.rbegin()->first;
  return last;
}

}  // namespace pystream::windows
