#pragma once
// Waits that a signal can end.

#include <algorithm>
#include <chrono>

#include "bindings.hpp"

namespace pystream::python {

// Native waits do not see Python's signal handlers, so a long wait is cut into slices of this
// length, and Ctrl-C is answered between two of them.
inline constexpr int64_t kWaitSliceUs = 100'000;

// Calls `wait(slice_us) -> bool` without the interpreter lock until it returns true or timeout_us
// (negative: no limit) has passed. At least one call. Throws what a signal handler raised.
template <typename Wait>
bool wait_in_slices(int64_t timeout_us, Wait wait) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (;;) {
    int64_t slice_us = kWaitSliceUs;
    if (timeout_us >= 0) {
      const auto passed =
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
      slice_us = std::clamp<int64_t>(timeout_us - passed.count(), 0, kWaitSliceUs);
    }
    bool is_done = false;
    {
      const py::gil_scoped_release release;
      is_done = wait(slice_us);
    }
    if (is_done) return true;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (timeout_us >= 0 && Clock::now() - start >= std::chrono::microseconds(timeout_us)) {
      return false;
    }
  }
}

}  // namespace pystream::python
