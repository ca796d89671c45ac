#pragma once
// Sleeping until a word in shared memory changes, across processes. The word may lie in a mapping
// that each process has at another address. Wakes may be spurious: callers loop on their condition.

#include <atomic>
#include <cstdint>
#include <span>

namespace pystream {

struct FutexWait {
  const std::atomic<uint32_t>* word;
  uint32_t expected;
};

// The kernel's limit on words of one futex_wait_any.
inline constexpr size_t kFutexWaitAnyMax = 128;

// Returns when `word` no longer holds `expected`, on a wake, or after the timeout.
void futex_wait(const FutexWait& wait, int64_t timeout_us);

// As futex_wait, for up to kFutexWaitAnyMax words. Polls every millisecond where the kernel lacks
// futex_waitv (before 5.16) or more words are given.
void futex_wait_any(std::span<const FutexWait> waits, int64_t timeout_us);

// Wakes all that wait for `word`.
void futex_wake_all(std::atomic<uint32_t>* word);

// As futex_wait, woken also by futex_wake_some of one of these bits. False after the timeout.
bool futex_wait_bits(const FutexWait& wait, uint32_t bits, int64_t timeout_us);

// Wakes at most `count` of those that wait for one of these bits of `word`, or for the word alone;
// returns how many it woke.
int futex_wake_some(std::atomic<uint32_t>* word, uint32_t bits, int count);

// A word to sleep on, and a flag that someone may be asleep on it. A flag and not a count: a waiter
// that was killed leaves nothing behind but one needless wake.
//
// The waker makes its change and calls wake_waiters(); a sleeper calls announce_wait(), looks once
// more for the change, and sleeps. Of the two, one sees the other.
void wake_waiters(std::atomic<uint32_t>* word, std::atomic<uint32_t>* waiters);
FutexWait announce_wait(const std::atomic<uint32_t>& word, std::atomic<uint32_t>* waiters);

}  // namespace pystream
