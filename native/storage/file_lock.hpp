#pragma once
// Locks that die with their holder: the kernel's lock of an open file description, alone (FileLock)
// or with what one process needs around it (PartitionLock).

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "storage/file.hpp"
#include "storage/fork_guard.hpp"

namespace pystream::storage {

// Takes the file's lock, polling with growing pauses until the timeout; false when it passed.
bool try_lock_file(const File& file, int64_t timeout_us);

// Holds the lock of `file` for a scope. Throws kRequestTimeout.
class FileLock {
 public:
  FileLock(const File& file, int64_t timeout_us);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  const File& file_;
};

// The two locks of a partition, on two bytes of one file: the append lock, and the flush lock that
// whoever syncs holds. Each is taken first among the threads that share this object (the kernel's
// lock does not tell them apart), then among processes. Who needs both takes the append lock first.
// Used from any thread.
class PartitionLock : public ClosedInChild {
 public:
  void open(File file) { file_ = std::move(file); }

  // False when the timeout passed.
  bool acquire(int64_t timeout_us);
  void release();

  // True when no one in any process held the lock at some moment during the call. The caller's
  // own thread must not hold it.
  bool is_free() const;

  // The flush lock, without waiting: who does not get it waits for the durable offset, which its
  // holder raises. False also after close().
  bool try_acquire_flush();
  void release_flush();
  bool is_closed() const;
  // Whether others still find the file. For a holder of the append lock.
  bool has_name() const { return !file_.is_open() || file_.has_name(); }

  // Returns when no thread of this process holds the append lock any more.
  void wait_for_threads();
  // Waits for the holders in this process, then closes the file. Later acquire() calls get the lock
  // among threads only: their callers find the log closed.
  void close();
  void close_in_child() override { file_.close(); }

 private:
  bool acquire_in_process(int64_t timeout_us);
  void release_in_process();

  File file_;  // used by the holders; closed under mutex_ when there is none
  mutable std::mutex mutex_;
  std::condition_variable released_;  // for the next holder of the append lock
  std::condition_variable idle_;      // for those who wait until nobody holds a lock
  std::atomic<bool> held_here_{false};
  bool flush_held_here_ = false;  // guarded by mutex_
};

}  // namespace pystream::storage
