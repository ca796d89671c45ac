#include "runtime/idleness.hpp"

#include <algorithm>

namespace pystream::runtime {

IdlePartitions::IdlePartitions(int partitions, int64_t timeout_us)
    : timeout_us_(timeout_us),
      last_us_(static_cast<size_t>(partitions)),
      is_idle_(static_cast<size_t>(partitions)),
      had_batch_(static_cast<size_t>(partitions)),
      active_(static_cast<size_t>(partitions)) {}

int64_t IdlePartitions::deadline(size_t partition) const {
  int64_t deadline = 0;
  const bool is_never = __builtin_add_overflow(last_us_[partition], timeout_us_, &deadline);
  return is_never ? INT64_MAX : deadline;
}

bool IdlePartitions::leave(int64_t moment, bool had_batch) {
  const size_t before = active_;
  for (size_t p = 0; p < last_us_.size(); ++p) {
    if (is_idle_[p] || had_batch_[p] != had_batch || deadline(p) != moment) continue;
    is_idle_[p] = true;
    --active_;
  }
  return active_ != before;
}

bool IdlePartitions::next_moment(int64_t now_us) {
  if (!has_started_) {
    has_started_ = true;
    now_us_ = now_us;
    std::fill(last_us_.begin(), last_us_.end(), now_us);
    return false;
  }
  int64_t moment = INT64_MAX;
  for (size_t p = 0; p < last_us_.size(); ++p) {
    if (!is_idle_[p]) moment = std::min(moment, deadline(p));
  }
  if (moment >= now_us) {
    now_us_ = std::max(now_us_, now_us);
    return false;
  }
  if (!leave(moment, false)) leave(moment, true);
  if (active_ == 0) all_since_us_ = moment;
  return true;
}

void IdlePartitions::wake(int partition) {
  const auto p = static_cast<size_t>(partition);
  last_us_[p] = now_us_;
  had_batch_[p] = true;
  if (!is_idle_[p]) return;
  is_idle_[p] = false;
  ++active_;
}

PartitionIdleness IdlePartitions::partition(int partition) const {
  const auto p = static_cast<size_t>(partition);
  return {last_us_[p], is_idle_[p], had_batch_[p]};
}

void IdlePartitions::restore(const IdlenessState& state,
                             const std::vector<PartitionIdleness>& partitions) {
  has_started_ = state.has_started;
  now_us_ = state.now_us;
  all_since_us_ = state.all_since_us;
  active_ = 0;
  for (size_t p = 0; p < partitions.size(); ++p) {
    last_us_[p] = partitions[p].last_us;
    is_idle_[p] = partitions[p].is_idle;
    had_batch_[p] = partitions[p].had_batch;
    if (!is_idle_[p]) ++active_;
  }
}

}  // namespace pystream::runtime
