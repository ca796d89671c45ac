#include "base/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#include "base/clock.hpp"

// Older kernel headers lack futex_waitv; the numbers are part of the kernel's stable interface.
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace pystream {
namespace {

constexpr uint32_t kFutexSize32 = 2;  // FUTEX2_SIZE_U32; without FUTEX2_PRIVATE the word is shared
constexpr int64_t kPollIntervalUs = 1'000;

// struct futex_waitv of the kernel.
struct KernelWait {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(KernelWait) == 24);

timespec to_timespec(int64_t time_us) {
  timespec result;
  result.tv_sec = static_cast<time_t>(time_us / 1'000'000);
  result.tv_nsec = static_cast<long>(time_us % 1'000'000) * 1'000;
  return result;
}

bool any_changed(std::span<const FutexWait> waits) {
  return std::any_of(waits.begin(), waits.end(), [](const FutexWait& wait) {
    return wait.word->load(std::memory_order_acquire) != wait.expected;
  });
}

void poll_any(std::span<const FutexWait> waits, int64_t timeout_us) {
  const int64_t deadline_us = monotonic_us() + timeout_us;
  while (!any_changed(waits)) {
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) return;
    const timespec pause = to_timespec(std::min(left_us, kPollIntervalUs));
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace

void futex_wait(const FutexWait& wait, int64_t timeout_us) {
  if (timeout_us <= 0) return;
  const timespec timeout = to_timespec(timeout_us);
  ::syscall(SYS_futex, wait.word, FUTEX_WAIT, wait.expected, &timeout, nullptr, 0);
}

void futex_wait_any(std::span<const FutexWait> waits, int64_t timeout_us) {
  if (timeout_us <= 0) return;
  if (waits.size() == 1) return futex_wait(waits[0], timeout_us);
  if (waits.empty() || waits.size() > kFutexWaitAnyMax) return poll_any(waits, timeout_us);
  KernelWait entries[kFutexWaitAnyMax];
  for (size_t i = 0; i < waits.size(); ++i) {
    entries[i] = {waits[i].expected, reinterpret_cast<uint64_t>(waits[i].word), kFutexSize32, 0};
  }
  const timespec deadline = to_timespec(monotonic_us() + timeout_us);
  const long result = ::syscall(SYS_futex_waitv, entries, static_cast<unsigned>(waits.size()), 0,
                                &deadline, CLOCK_MONOTONIC);
  if (result < 0 && (errno == ENOSYS || errno == EPERM)) poll_any(waits, timeout_us);
}

void futex_wake_all(std::atomic<uint32_t>* word) {
  ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool futex_wait_bits(const FutexWait& wait, uint32_t bits, int64_t timeout_us) {
  if (timeout_us <= 0) return false;
  const timespec deadline = to_timespec(monotonic_us() + timeout_us);
  const long result =
      ::syscall(SYS_futex, wait.word, FUTEX_WAIT_BITSET, wait.expected, &deadline, nullptr, bits);
  return result == 0 || errno != ETIMEDOUT;
}

int futex_wake_some(std::atomic<uint32_t>* word, uint32_t bits, int count) {
  const long woken = ::syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, nullptr, nullptr, bits);
  return static_cast<int>(std::max(0L, woken));
}

void wake_waiters(std::atomic<uint32_t>* word, std::atomic<uint32_t>* waiters) {
  if (waiters->exchange(0, std::memory_order_seq_cst) == 0) return;
  word->fetch_add(1, std::memory_order_seq_cst);
  futex_wake_all(word);
}

FutexWait announce_wait(const std::atomic<uint32_t>& word, std::atomic<uint32_t>* waiters) {
  const FutexWait wait{&word, word.load(std::memory_order_seq_cst)};
  waiters->exchange(1, std::memory_order_seq_cst);
  return wait;
}

}  // namespace pystream
