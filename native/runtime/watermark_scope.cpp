#include "runtime/watermark_scope.hpp"

#include <algorithm>
#include <utility>

namespace pystream::runtime {

using windows::kMaxWatermark;
using windows::kMinWatermark;

WatermarkScope::WatermarkScope(std::vector<int> sources, bool has_common_ticks)
    : sources_(std::move(sources)), has_common_ticks_(has_common_ticks) {}

bool WatermarkScope::settle(const std::vector<SourceStatus>& now) {
  const int64_t before = reached_;
  is_gradual_ = false;
  bool have_all_ended = true;
  bool is_any_active = false;
  int64_t least = kMaxWatermark;
  for (const int source : sources_) {
    const SourceStatus& status = now[static_cast<size_t>(source)];
    if (status.has_ended) continue;
    have_all_ended = false;
    if (status.is_idle) continue;
    is_any_active = true;
    least = std::min(least, status.watermark);
  }
  if (have_all_ended) {
    reached_ = kMaxWatermark;
  } else if (!has_common_ticks_) {
    return false;
  } else if (is_any_active) {
    reached_ = std::max(reached_, least);
  } else if (!are_all_idle_) {
    reached_ = when_all_idle(now);
  }
  are_all_idle_ = !is_any_active;
  return reached_ != before;
}

bool WatermarkScope::pass_time(const std::vector<SourceStatus>& now) {
  const bool has_moved = settle(now);
  is_gradual_ = has_moved && std::any_of(sources_.begin(), sources_.end(), [&](int source) {
                  return now[static_cast<size_t>(source)].goes_on_with_time;
                });
  return has_moved;
}

// The last to become idle has held the watermark until then, unless it had come back behind it.
int64_t WatermarkScope::when_all_idle(const std::vector<SourceStatus>& now) const {
  const SourceStatus* last = nullptr;
  int64_t largest = kMinWatermark;
  for (const int source : sources_) {
    const SourceStatus& status = now[static_cast<size_t>(source)];
    if (status.has_ended) continue;
    largest = std::max(largest, status.watermark);
    if (last == nullptr || std::pair(status.idle_since_us, status.watermark) >
                               std::pair(last->idle_since_us, last->watermark)) {
      last = &status;
    }
  }
  return last->watermark >= reached_ ? largest : reached_;
}

ScopeMarks WatermarkScope::marks(int source, const std::vector<SourceStatus>& now) const {
  ScopeMarks marks{reached_, kMinWatermark, is_gradual_};
  if (!has_common_ticks_ || std::find(sources_.begin(), sources_.end(), source) == sources_.end()) {
    return marks;
  }
  marks.others = kMaxWatermark;
  for (const int other : sources_) {
    const SourceStatus& status = now[static_cast<size_t>(other)];
    if (other == source || status.has_ended || status.is_idle) continue;
    marks.others = std::min(marks.others, status.watermark);
  }
  return marks;
}

}  // namespace pystream::runtime
