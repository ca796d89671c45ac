#include "windows/session_timers.hpp"

#include "state/limits.hpp"

namespace pystream::windows {

void SessionTimers::remap(std::span<const uint32_t> sessions) {
  for (std::vector<Timer>& bucket : buckets_) {
    std::erase_if(bucket,
                  [&](const Timer& timer) { return sessions[timer.session] == state::kNoId; });
    for (Timer& timer : bucket) timer.session = sessions[timer.session];
    bucket.shrink_to_fit();
  }
  moved_ = {};
}

int64_t SessionTimers::bytes() const {
  size_t timers = moved_.capacity();
  for (const std::vector<Timer>& bucket : buckets_) timers += bucket.capacity();
  return static_cast<int64_t>(timers * sizeof(Timer));
}

}  // namespace pystream::windows
