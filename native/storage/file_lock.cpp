#include "storage/file_lock.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace pystream::storage {
namespace {

constexpr int kYields = 3;
constexpr int64_t kFirstPauseUs = 5;
constexpr int64_t kLongestPauseUs = 1'000;
constexpr int64_t kFlushByte = 1;  // of the lock file; byte 0 is the append lock

}  // namespace

bool try_lock_file(const File& file, int64_t timeout_us) {
  int64_t deadline_us = -1;
  int64_t pause_us = kFirstPauseUs;
  for (int attempt = 0;; ++attempt) {
    const int result = file.layer().lock(file.fd(), LockMode::kExclusive);
    if (result != -EAGAIN) {
      checked(result, "cannot lock", file.path());
      return true;
    }
    const int64_t now_us = monotonic_us();
    if (deadline_us < 0) deadline_us = now_us + timeout_us;
    if (now_us >= deadline_us) return false;
    if (attempt < kYields) {
      std::this_thread::yield();
      continue;
    }
    const timespec pause{0, static_cast<long>(std::min(pause_us, deadline_us - now_us)) * 1'000};
    ::nanosleep(&pause, nullptr);
    pause_us = std::min(2 * pause_us, kLongestPauseUs);
  }
}

FileLock::FileLock(const File& file, int64_t timeout_us) : file_(file) {
  if (try_lock_file(file, timeout_us)) return;
  throw Error(ErrorCode::kRequestTimeout,
              "another process holds the lock of " + file.path() + " for more than " +
                  std::to_string(timeout_us / 1'000) +
                  " ms. Wait until it has finished, or end it if it is stopped.",
              {{"path", file.path()}});
}

FileLock::~FileLock() { file_.layer().lock(file_.fd(), LockMode::kUnlock); }

bool PartitionLock::acquire_in_process(int64_t timeout_us) {
  std::unique_lock guard(mutex_);
  const auto is_released = [this] { return !held_here_.load(std::memory_order_relaxed); };
  if (!is_released() &&
      !released_.wait_until(
          guard, std::chrono::steady_clock::now() + std::chrono::microseconds(timeout_us),
          is_released)) {
    return false;
  }
  held_here_.store(true, std::memory_order_seq_cst);
  return true;
}

void PartitionLock::release_in_process() {
  {
    std::lock_guard guard(mutex_);
    held_here_.store(false, std::memory_order_seq_cst);
  }
  released_.notify_one();
  idle_.notify_all();
}

bool PartitionLock::acquire(int64_t timeout_us) {
  const int64_t start_us = monotonic_us();
  if (!acquire_in_process(timeout_us)) return false;
  if (!file_.is_open()) return true;
  try {
    const int64_t left_us = std::max<int64_t>(0, start_us + timeout_us - monotonic_us());
    if (try_lock_file(file_, left_us)) return true;
  } catch (...) {
    release_in_process();
    throw;
  }
  release_in_process();
  return false;
}

void PartitionLock::release() {
  if (file_.is_open()) file_.layer().lock(file_.fd(), LockMode::kUnlock);
  release_in_process();
}

bool PartitionLock::try_acquire_flush() {
  std::lock_guard guard(mutex_);
  if (flush_held_here_ || !file_.is_open()) return false;
  const int result = file_.layer().lock(file_.fd(), LockMode::kExclusive, kFlushByte);
  if (result == -EAGAIN) return false;
  checked(result, "cannot lock", file_.path());
  flush_held_here_ = true;
  return true;
}

void PartitionLock::release_flush() {
  {
    std::lock_guard guard(mutex_);
    file_.layer().lock(file_.fd(), LockMode::kUnlock, kFlushByte);
    flush_held_here_ = false;
  }
  idle_.notify_all();
}

bool PartitionLock::is_closed() const {
  std::lock_guard guard(mutex_);
  return !file_.is_open();
}

void PartitionLock::wait_for_threads() {
  std::unique_lock guard(mutex_);
  idle_.wait(guard, [this] { return !held_here_.load(std::memory_order_relaxed); });
}

void PartitionLock::close() {
  std::unique_lock guard(mutex_);
  idle_.wait(guard,
             [this] { return !held_here_.load(std::memory_order_relaxed) && !flush_held_here_; });
  file_.close();
}

// The kernel does not report a lock of our own description, hence the flag. It is looked at first:
// a thread of ours that took the lock in between did so after the look.
bool PartitionLock::is_free() const {
  if (held_here_.load(std::memory_order_seq_cst)) return false;
  std::lock_guard guard(mutex_);
  if (!file_.is_open()) return true;
  return checked(file_.layer().is_locked_elsewhere(file_.fd()), "cannot look at the lock of",
                 file_.path()) == 0;
}

}  // namespace pystream::storage
