#pragma once
// Asks work that may be long to end in the middle: whoever does it calls check() now and then,
// which throws StopRequested once it is to stop. Nothing of the work can be used after that.
//
// Any thread. One signal belongs to one job, and outlives its work.

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include "base/clock.hpp"

namespace pystream {

// No error, and never seen by users.
struct StopRequested {};

class StopSignal {
 public:
  void request() { is_requested_.store(true, std::memory_order_relaxed); }
  bool is_requested() const { return is_requested_.load(std::memory_order_relaxed); }

  // Cheap, but for one reading of the clock.
  void check() {
    if (is_requested()) throw StopRequested{};
    if (poll_ == nullptr || std::this_thread::get_id() != polling_thread_) return;
    const int64_t now_us = monotonic_us();
    if (now_us < next_poll_us_) return;
    next_poll_us_ = now_us + kPollUs;
    if (!(*poll_)()) return;
    request();
    throw StopRequested{};
  }

  // While it lives, check() by this thread asks `poll` about ten times a second whether to stop.
  class Polling {
   public:
    Polling(StopSignal* signal, const std::function<bool()>* poll) : signal_(signal) {
      signal_->polling_thread_ = std::this_thread::get_id();
      signal_->next_poll_us_ = monotonic_us() + kPollUs;
      signal_->poll_ = *poll ? poll : nullptr;
    }
    ~Polling() { signal_->poll_ = nullptr; }
    Polling(const Polling&) = delete;
    Polling& operator=(const Polling&) = delete;

   private:
    StopSignal* signal_;
  };

 private:
  static constexpr int64_t kPollUs = 100'000;

  std::atomic<bool> is_requested_{false};
  // Set while no other thread works.
  const std::function<bool()>* poll_ = nullptr;
  std::thread::id polling_thread_;
  int64_t next_poll_us_ = 0;
};

// check() in a loop of small steps, once in a while. A copy counts for itself; without a signal it
// does nothing.
class StopCheck {
 public:
  void set(StopSignal* signal) { signal_ = signal; }
  void operator()() {
    if (++steps_ % kSteps == 0 && signal_ != nullptr) signal_->check();
  }

 private:
  static constexpr uint32_t kSteps = 256;

  StopSignal* signal_ = nullptr;
  uint32_t steps_ = 0;
};

}  // namespace pystream
