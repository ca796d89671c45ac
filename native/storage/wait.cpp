// Sleeping until something is published.

#include <algorithm>
#include <ctime>

#include "base/clock.hpp"
#include "base/futex.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

// A writer killed between publish and wake leaves a waiter asleep; no longer than this. Also how
// soon a waiter notices that its log was closed.
constexpr int64_t kLongestSleepUs = 100'000;
// A read-only mapping cannot raise the waiter flag, so it looks again and again.
constexpr int64_t kReadOnlyPollUs = 1'000;
constexpr int64_t kLongestTimeoutUs = int64_t{365} * 24 * 3600 * 1'000'000;

using States = std::span<const std::shared_ptr<Partition::State>>;

bool is_reached(States partitions, std::span<const int64_t> offsets) {
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (partitions[i]->control.read().log_end_offset > offsets[i]) return true;
  }
  return false;
}

void pause(int64_t pause_us) {
  const timespec time{0, static_cast<long>(pause_us) * 1'000};
  ::nanosleep(&time, nullptr);
}

}  // namespace

bool wait_for_any(States partitions, std::span<const int64_t> offsets, int64_t timeout_us) {
  const int64_t deadline_us =
      monotonic_us() + std::clamp<int64_t>(timeout_us, 0, kLongestTimeoutUs);
  std::vector<FutexWait> waits(partitions.size());
  for (;;) {
    for (const auto& partition : partitions) partition->log->require_usable();
    if (is_reached(partitions, offsets)) return true;
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) return false;
    if (partitions.empty() || !partitions[0]->is_writable()) {
      pause(std::min(left_us, kReadOnlyPollUs));
      continue;
    }
    for (size_t i = 0; i < partitions.size(); ++i) {
      ControlPage::Words& words = partitions[i]->control.words();
      waits[i] = {&words.wake, words.wake.load(std::memory_order_seq_cst)};
      words.waiters.exchange(1, std::memory_order_seq_cst);
    }
    // Between the look above and the flags a batch may have come; its writer saw no waiter.
    if (is_reached(partitions, offsets)) return true;
    futex_wait_any(waits, std::min(left_us, kLongestSleepUs));
  }
}

}  // namespace pystream::storage
