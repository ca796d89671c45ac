#pragma once
// Sleeping until a partition grows; see tail_watch.hpp for event loops.

#include <span>

#include "base/futex.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {

using PartitionStates = std::span<const std::shared_ptr<Partition::State>>;

// A writer killed between publish and wake leaves a waiter asleep; no longer than this. Also how
// soon a waiter notices that its log was closed.
inline constexpr int64_t kLongestSleepUs = 100'000;

// Whether any partition has a log end offset above its offset.
bool is_any_reached(PartitionStates partitions, std::span<const int64_t> offsets);

// One sleep: returns when a partition is reached, when `interrupt` (may be null) has changed, and
// sooner for no reason. The partitions are of one log, which a sleeper on more than the kernel can
// watch waits for as a whole.
void sleep_for_any(PartitionStates partitions, std::span<const int64_t> offsets,
                   const FutexWait* interrupt, int64_t timeout_us);

// Blocks until any is reached or `interrupt` (may be null) has changed; false on timeout. Throws
// kClosed when the log is closed meanwhile.
bool wait_for_any(PartitionStates partitions, std::span<const int64_t> offsets,
                  const FutexWait* interrupt, int64_t timeout_us);

}  // namespace pystream::storage
