#pragma once
// Which partitions of a source are idle. Time is that of the log: it goes from the append time of
// one batch to that of the next, in append order, and the clock counts only once the reader has
// seen that there is no batch. So a replay finds what the live job found, and neither a slow reader
// nor one that is held up makes a partition idle.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pystream::runtime {

struct IdlenessSpec {
  int64_t timeout_us = 0;  // > 0
  // While all partitions are idle the watermark goes on with the clock; else it stays.
  bool advances = false;
};

// What is known of the time of the log, and of one partition; plain data, for snapshots.
struct IdlenessState {
  bool has_started = false;
  int64_t now_us = 0;
  int64_t all_since_us = 0;
};
struct PartitionIdleness {
  int64_t last_us = 0;
  bool is_idle = false;
  bool had_batch = false;
};

// One thread.
class IdlePartitions {
 public:
  IdlePartitions(int partitions, int64_t timeout_us);

  // Lets time pass to the next moment before `now_us` at which partitions become idle, which is
  // `timeout_us` after their last batch; all of that moment do, those that never had a batch first,
  // in a step of their own. False when there is none left, and time is `now_us`. Partitions without
  // a batch count from the first call. Time never goes back.
  bool next_moment(int64_t now_us);
  // A batch of this partition is here, now.
  void wake(int partition);

  bool has_started() const { return has_started_; }
  bool is_idle(int partition) const { return is_idle_[static_cast<size_t>(partition)]; }
  bool are_all() const { return active_ == 0; }
  int64_t all_since_us() const { return all_since_us_; }
  // How long all have been idle.
  int64_t all_idle_us() const { return now_us_ - all_since_us_; }

  IdlenessState state() const { return {has_started_, now_us_, all_since_us_}; }
  PartitionIdleness partition(int partition) const;
  void restore(const IdlenessState& state, const std::vector<PartitionIdleness>& partitions);

 private:
  int64_t deadline(size_t partition) const;
  // Of those that never had a batch, or of those that had. Whether there was one.
  bool leave(int64_t moment, bool had_batch);

  int64_t timeout_us_;
  bool has_started_ = false;
  int64_t now_us_ = 0;
  int64_t all_since_us_ = 0;
  std::vector<int64_t> last_us_;
  std::vector<bool> is_idle_;
  std::vector<bool> had_batch_;
  size_t active_;
};

}  // namespace pystream::runtime
