#pragma once
// Tells an event loop that partitions have grown: a descriptor becomes readable. One thread per log
// sleeps for all of its watches, so a thousand consumers in one loop cost one thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/futex.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

class TailThread;

// What one consumer waits with. Made by Log::tail_watch; outlives its log, whose close() makes the
// descriptor readable a last time.
//
// Threads: any. Fork: a child must not use it and may drop it.
class TailWatch {
 public:
  explicit TailWatch(std::shared_ptr<TailThread> thread);
  ~TailWatch();
  TailWatch(const TailWatch&) = delete;
  TailWatch& operator=(const TailWatch&) = delete;

  // An eventfd, for reading readiness only. Valid as long as the watch.
  int fd() const { return fd_; }
  // Makes the descriptor readable, once, when any of the partitions (of the watch's log) has a log
  // end offset above its offset, or interrupts() is not `interrupts` (any more). Replaces what it
  // was armed for before. Throws kClosed.
  void arm(std::span<const std::shared_ptr<Partition>> partitions, std::vector<int64_t> offsets,
           uint32_t interrupts);
  // Takes arm() back; the descriptor is not readable afterwards.
  void disarm();
  // Makes the descriptor readable when the watch is armed, and ends a Log::wait_any with this
  // watch.
  void interrupt();
  uint32_t interrupts() const { return interrupts_.load(); }
  // For Log::wait_any: ends it when interrupts() is not `interrupts` (any more).
  FutexWait interrupt_word(uint32_t interrupts) const { return {&interrupts_, interrupts}; }

 private:
  friend class TailThread;

  const std::shared_ptr<TailThread> thread_;
  int fd_ = -1;
  std::atomic<uint32_t> interrupts_{0};

  // Guarded by the thread's mutex.
  bool is_armed_ = false;
  std::vector<std::shared_ptr<Partition::State>> partitions_;
  std::vector<int64_t> offsets_;
};

// The thread behind the watches of a log. Starts with the first arm(), ends with stop().
class TailThread {
 public:
  explicit TailThread(std::string directory);
  ~TailThread() { stop(); }

  // Fires all armed watches and joins the thread; arm() throws kClosed from then on. Idempotent.
  void stop();

 private:
  friend class TailWatch;

  // Under the mutex.
  void start();
  void fire(TailWatch& watch);
  void forget(TailWatch& watch);

  void run();
  void call();  // makes the thread look at the watches again
  bool is_forked() const;

  const std::string directory_;
  const uint64_t fork_generation_;
  std::mutex mutex_;
  std::vector<TailWatch*> armed_;
  bool is_stopping_ = false;
  std::atomic<uint32_t> calls_{0};
  std::unique_ptr<std::thread> thread_;
};

}  // namespace pystream::storage
