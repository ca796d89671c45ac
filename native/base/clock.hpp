#pragma once
// The two clocks of the core. Nothing else calls the operating system for time, so that a test can
// replace what it passes down.

#include <atomic>
#include <cstdint>
#include <ctime>

namespace pystream {

inline int64_t clock_us(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

// Microseconds since 1970; may jump.
inline int64_t wall_clock_us() { return clock_us(CLOCK_REALTIME); }

// Microseconds since some fixed point; never jumps. For timeouts.
inline int64_t monotonic_us() { return clock_us(CLOCK_MONOTONIC); }

// The same in nanoseconds. For measuring what takes less than a microsecond.
inline int64_t monotonic_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// For tests, which set it: stands in for the wall clock. Any thread.
using ManualClock = std::atomic<int64_t>;

}  // namespace pystream
