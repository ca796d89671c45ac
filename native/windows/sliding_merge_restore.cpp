// SlidingMerge out of snapshots, also those of several instances.

#include <algorithm>
#include <iterator>
#include <utility>

#include "windows/sliding_merge.hpp"

namespace pystream::windows {

AccumulatorTable* SlidingMerge::restore_front(int64_t slice, int64_t keys) {
  if (front_.empty() || front_.front().slice != slice) {
    // The earliest slice is last, and comes first.
    front_.insert(front_.begin(), {slice, keys, AccumulatorTable(layout_)});
  }
  return &front_.front().table;
}

AccumulatorTable* SlidingMerge::restore_back(int64_t slice, int64_t keys) {
  if (back_.empty() || back_.back().slice != slice) {
    back_.push_back({slice, keys, AccumulatorTable(layout_)});
  }
  return &back_.back().table;
}

void SlidingMerge::rebuild(bool is_stacked, bool should_stack, uint32_t universe) {
  is_stacked_ = is_stacked;
  should_stack_ = should_stack;
  sum_up_back(universe);
}

void SlidingMerge::sum_up_back(uint32_t universe) {
  back_total_.reset();
  if (!is_stacked_ || back_.empty()) return;
  for (const Entry& entry : back_) {
    if (back_total_) {
      back_total_->merge(entry.table, nullptr, universe);
    } else {
      back_total_ = entry.table;
    }
  }
}

// The last slice of the front; below all where it is empty.
int64_t SlidingMerge::front_end() const {
  return front_.empty() ? INT64_MIN : front_.front().slice;
}

// Turns over what the back has up to `last_slice`, behind what is in the front already.
void SlidingMerge::extend_front(int64_t last_slice, uint32_t universe) {
  std::vector<Entry> turned;
  while (!back_.empty() && back_.front().slice <= last_slice) {
    turned.push_back(std::move(back_.front()));
    back_.pop_front();
  }
  if (turned.empty()) return;
  for (size_t i = turned.size() - 1; i-- > 0;) {
    turned[i].table.merge(turned[i + 1].table, nullptr, universe);
  }
  for (Entry& entry : front_) entry.table.merge(turned.front().table, nullptr, universe);
  std::vector<Entry> front(std::make_move_iterator(turned.rbegin()),
                           std::make_move_iterator(turned.rend()));
  std::move(front_.begin(), front_.end(), std::back_inserter(front));
  front_ = std::move(front);
}

// Gives the front all slices of another one: without rows there, one holds what the next holds.
void SlidingMerge::fill_front(const std::vector<Entry>& like) {
  for (const Entry& wanted : like) {
    const auto at = std::find_if(front_.begin(), front_.end(),
                                 [&](const Entry& entry) { return entry.slice <= wanted.slice; });
    if (at != front_.end() && at->slice == wanted.slice) continue;
    Entry filled{wanted.slice, 0, AccumulatorTable(layout_)};
    if (at != front_.begin()) filled.table = std::prev(at)->table;
    front_.insert(at, std::move(filled));
  }
}

void SlidingMerge::absorb(SlidingMerge&& other, uint32_t universe) {
  if (is_stacked_ || other.is_stacked_) {
    const int64_t end = std::max(front_end(), other.front_end());
    extend_front(end, universe);
    other.extend_front(end, universe);
    fill_front(other.front_);
    other.fill_front(front_);
    is_stacked_ = true;
  }
  const auto join = [&](Entry* mine, Entry* theirs) {
    mine->keys += theirs->keys;
    mine->table.merge(theirs->table, nullptr, universe);
  };
  for (size_t i = 0; i < front_.size(); ++i) join(&front_[i], &other.front_[i]);
  for (Entry& entry : other.back_) {
    const auto at = std::find_if(back_.begin(), back_.end(),
                                 [&](const Entry& mine) { return mine.slice >= entry.slice; });
    if (at != back_.end() && at->slice == entry.slice) {
      join(&*at, &entry);
    } else {
      back_.insert(at, std::move(entry));
    }
  }
  for (auto& [slice, table] : other.late_) add_late(slice, std::move(table), universe);
  should_stack_ |= other.should_stack_;
  sum_up_back(universe);
}

}  // namespace pystream::windows
