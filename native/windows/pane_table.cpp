#include "windows/pane_table.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace pystream::windows {

uint32_t PaneTable::open(uint32_t key, uint32_t newer, int64_t start, int64_t last,
                         int64_t arrival) {
  uint32_t number = free_;
  if (number != kNoPane) {
    free_ = panes_[number].newer;
  } else {
    if (panes_.size() >= state::kMaxKeys) {
      throw Error(ErrorCode::kOperator, "more than " + std::to_string(state::kMaxKeys) +
                                            " windows are open at once. Use fewer keys, or shorter "
                                            "windows.");
    }
    number = size();
    panes_.emplace_back();
  }
  const uint32_t older = newer == kNoPane ? newest_[key] : panes_[newer].older;
  Pane& pane = panes_[number];
  pane = Pane();
  pane.start = start;
  pane.last = last;
  pane.cleanup = kMaxWatermark;
  pane.arrival = arrival;
  pane.key = key;
  pane.newer = newer;
  pane.older = older;
  (newer == kNoPane ? newest_[key] : panes_[newer].older) = number;
  if (older != kNoPane) panes_[older].newer = number;
  index_.add(key, start, number);
  ++in_use_;
  return number;
}

void PaneTable::release(uint32_t number) {
  Pane& pane = panes_[number];
  (pane.newer == kNoPane ? newest_[pane.key] : panes_[pane.newer].older) = pane.older;
  if (pane.older != kNoPane) panes_[pane.older].newer = pane.newer;
  index_.remove(pane.key, pane.start);
  pane.key = kNoPane;
  pane.timers = {};
  pane.is_armed = false;
  pane.newer = free_;
  free_ = number;
  --in_use_;
}

void PaneTable::register_timer(uint32_t number, int64_t time) {
  Pane& pane = panes_[number];
  if (is_passing_) {
    if (time <= now_) {
      throw Error(ErrorCode::kOperator,
                  "a timer at " + std::to_string(time) + " is registered by that at " +
                      std::to_string(now_) +
                      ": it would fire at once, and again and again. Register a later time.");
    }
    const bool is_last = watermark_ == kMaxWatermark && pane.last == kEndless;
    if (is_last && time != kEndless) return;
  }
  if (std::find(pane.timers.begin(), pane.timers.end(), time) != pane.timers.end()) return;
  pane.timers.push_back(time);
  if (!is_passing_) arm(number, time);
}

void PaneTable::delete_timer(uint32_t number, int64_t time) {
  std::erase(panes_[number].timers, time);
}

void PaneTable::set_cleanup(uint32_t number, int64_t time) {
  panes_[number].cleanup = time;
  if (time != kMaxWatermark) arm(number, time);
}

void PaneTable::arm(uint32_t number, int64_t time) {
  time = std::max(time, watermark_);
  Pane& pane = panes_[number];
  if (pane.is_armed && time >= pane.armed) return;  // its timers are looked at before
  pane.armed = time;
  pane.is_armed = true;
  timers_.arm(time, number);
}

void PaneTable::collect_due() {
  looked_at_.clear();
  timers_.pass(watermark_, [&](int64_t time, uint32_t number) {
    // What was armed for an earlier time, or for a pane that is gone, is left.
    Pane& pane = panes_[number];
    if (!pane.is_live() || !pane.is_armed || pane.armed != time) return;
    pane.is_armed = false;
    looked_at_.push_back(number);
  });
  for (const uint32_t number : looked_at_) look_at(number);
}

void PaneTable::look_at(uint32_t number) {
  const Pane& pane = panes_[number];
  if (!pane.is_live()) return;
  int64_t next = pane.cleanup;
  bool is_any = pane.cleanup != kMaxWatermark;
  for (const int64_t time : pane.timers) {
    next = std::min(next, time);
    is_any = true;
  }
  if (!is_any) return;
  if (next <= watermark_) {
    due_.push({next, pane.last, pane.arrival, number});
  } else {
    arm(number, next);
  }
}

// False when neither a timer nor the cleanup of the pane is at that time.
bool PaneTable::take_timer(uint32_t number, int64_t time) {
  Pane& pane = panes_[number];
  if (!pane.is_live()) return false;
  const bool is_timer = std::erase(pane.timers, time) > 0;
  return is_timer || (pane.cleanup == time && time != kMaxWatermark);
}

void PaneTable::mark_keys(std::span<uint8_t> live) const {
  for (const Pane& pane : panes_) {
    if (pane.is_live()) live[pane.key] = 1;
  }
}

void PaneTable::remap_keys(std::span<const uint32_t> new_ids, uint32_t universe) {
  newest_.assign(universe, kNoPane);
  index_.clear();
  for (size_t i = 0; i < panes_.size(); ++i) {
    Pane& pane = panes_[i];
    if (!pane.is_live()) continue;
    pane.key = new_ids[pane.key];
    if (pane.newer == kNoPane) newest_[pane.key] = static_cast<uint32_t>(i);
  }
}

int64_t PaneTable::bytes() const {
  int64_t total = static_cast<int64_t>(panes_.capacity() * sizeof(Pane) +
                                       newest_.capacity() * sizeof(uint32_t)) +
                  timers_.bytes() + index_.bytes();
  for (const Pane& pane : panes_) {
    total += static_cast<int64_t>(pane.timers.capacity() * sizeof(int64_t));
  }
  return total;
}

}  // namespace pystream::windows
