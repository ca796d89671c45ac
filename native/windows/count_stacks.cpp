#include "windows/count_stacks.hpp"

#include <algorithm>

namespace pystream::windows {

namespace {
// Two stacks merge six rows a window and slice, the plain way one for each slice of the window.
constexpr int64_t kWorthStacking = 8;
}  // namespace

bool CountStacks::are_worth(int64_t slices_per_window, const AccumulatorLayout& layout) {
  return slices_per_window >= kWorthStacking && layout.sides.empty();
}

CountStacks::Times CountStacks::complete(uint32_t key, uint32_t number, int64_t next_begin,
                                         std::vector<uint32_t>* evicted) {
  push(key);
  const CountKey& of_key = slices_->key(key);
  Times times{INT64_MAX, INT64_MIN};
  const auto take = [&](uint32_t slice) {
    steps_.push_back({number, slice, true});
    times.first = std::min(times.first, (*slices_)[slice].min_time);
    times.last = std::max(times.last, (*slices_)[slice].max_time);
  };
  if (of_key.front_newest != kNoSlice) take(of_key.oldest);
  if (of_key.total != kNoSlice) take(of_key.total);
  evict(key, next_begin, evicted);
  return times;
}

// Adds the slices that have come since the last window to the back.
void CountStacks::push(uint32_t key) {
  if (slices_->key(key).total == kNoSlice) slices_->open_total(key);
  CountKey& of_key = slices_->key(key);
  uint32_t slice = of_key.pushed == kNoSlice ? of_key.oldest : (*slices_)[of_key.pushed].newer;
  for (; slice != kNoSlice; slice = (*slices_)[slice].newer) merge(of_key.total, slice);
  of_key.pushed = of_key.newest;
}

void CountStacks::evict(uint32_t key, int64_t next_begin, std::vector<uint32_t>* evicted) {
  CountKey& of_key = slices_->key(key);
  const auto has_to_go = [&] {
    return of_key.oldest != kNoSlice && (*slices_)[of_key.oldest].begin < next_begin;
  };
  while (of_key.front_newest != kNoSlice && has_to_go()) {
    if (of_key.oldest == of_key.front_newest) of_key.front_newest = kNoSlice;
    evicted->push_back(slices_->pop(key));
  }
  if (!has_to_go()) return;
  // The total of the back holds what has to go.
  while (has_to_go()) evicted->push_back(slices_->pop(key));
  evicted->push_back(of_key.total);
  of_key.total = kNoSlice;
  turn_over(key);
}

// The front is empty: the back becomes the front.
void CountStacks::turn_over(uint32_t key) {
  CountKey& of_key = slices_->key(key);
  of_key.front_newest = of_key.newest;
  of_key.pushed = of_key.newest;
  turned_.clear();
  for (uint32_t at = of_key.oldest; at != kNoSlice; at = (*slices_)[at].newer) {
    turned_.push_back(at);
  }
  for (size_t i = turned_.size(); i > 1; --i) merge(turned_[i - 2], turned_[i - 1]);
}

void CountStacks::merge(uint32_t target, uint32_t source) {
  steps_.push_back({target, source, false});
  CountSlice& into = (*slices_)[target];
  into.min_time = std::min(into.min_time, (*slices_)[source].min_time);
  into.max_time = std::max(into.max_time, (*slices_)[source].max_time);
}

void CountStacks::run(AccumulatorTable* table, uint32_t first_result) {
  targets_.resize(steps_.size());
  sources_.resize(steps_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    targets_[i] = steps_[i].target + (steps_[i].is_window ? first_result : 0);
    sources_[i] = steps_[i].source;
  }
  table->merge_rows_in_order(targets_, sources_);
  steps_.clear();
}

}  // namespace pystream::windows
