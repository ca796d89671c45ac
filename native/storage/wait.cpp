#include "storage/wait.hpp"

#include <algorithm>
#include <ctime>
#include <vector>

#include "base/clock.hpp"

namespace pystream::storage {
namespace {

// A read-only mapping cannot raise the waiter flag, so it looks again and again.
constexpr int64_t kReadOnlyPollUs = 1'000;
constexpr int64_t kLongestTimeoutUs = int64_t{365} * 24 * 3600 * 1'000'000;

bool has_changed(const FutexWait* wait) {
  return wait != nullptr && wait->word->load(std::memory_order_acquire) != wait->expected;
}

}  // namespace

bool is_any_reached(PartitionStates partitions, std::span<const int64_t> offsets) {
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (partitions[i]->read_published().data_end_offset > offsets[i]) return true;
  }
  return false;
}

void sleep_for_any(PartitionStates partitions, std::span<const int64_t> offsets,
                   const FutexWait* interrupt, int64_t timeout_us) {
  const bool is_read_only = !partitions.empty() && !partitions[0]->is_writable();
  std::vector<FutexWait> waits;
  if (interrupt != nullptr) waits.push_back(*interrupt);
  if (is_read_only) {
    timeout_us = std::min(timeout_us, kReadOnlyPollUs);
  } else if (waits.size() + partitions.size() > kFutexWaitAnyMax) {
    OrderFile::Words& words = partitions[0]->log->order.words();
    waits.push_back(announce_wait(words.wake, &words.waiters));
  } else {
    for (const auto& partition : partitions) {
      ControlPage::Words& words = partition->control.words();
      waits.push_back(announce_wait(words.wake, &words.waiters));
    }
  }
  // Before the flags were raised a batch may have come, whose writer saw no waiter.
  if (is_any_reached(partitions, offsets)) return;
  if (!waits.empty()) return futex_wait_any(waits, timeout_us);
  const timespec pause{static_cast<time_t>(timeout_us / 1'000'000),
                       static_cast<long>(timeout_us % 1'000'000) * 1'000};
  ::nanosleep(&pause, nullptr);
}

bool wait_for_any(PartitionStates partitions, std::span<const int64_t> offsets,
                  const FutexWait* interrupt, int64_t timeout_us) {
  const int64_t deadline_us =
      monotonic_us() + std::clamp<int64_t>(timeout_us, 0, kLongestTimeoutUs);
  for (;;) {
    for (const auto& partition : partitions) partition->log->require_usable();
    if (is_any_reached(partitions, offsets) || has_changed(interrupt)) return true;
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) return false;
    sleep_for_any(partitions, offsets, interrupt, std::min(left_us, kLongestSleepUs));
    const int64_t slept_us = left_us - (deadline_us - monotonic_us());
    if (slept_us < kLongestSleepUs) continue;  // someone writes this page
    for (const auto& partition : partitions) partition->require_page_in_place();
  }
}

}  // namespace pystream::storage
