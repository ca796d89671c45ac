#pragma once
// Syncs partitions in the background: at most an interval after the first append that asked for it,
// and once per interval, whichever of several processes does it (Partition::State). Also takes over
// for other processes: what one of them appended and, being dead, never synced.
//
// Of partitions that this process never opened, Log has it look.
//
// Owned by the log's shared part. The thread is joined by stop(). A sync that fails poisons the
// partition (Partition::sync); the thread goes on.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace pystream::storage {

// What the thread needs of a partition.
class Syncable {
 public:
  virtual ~Syncable() = default;
  // Does what was requested: syncs what is published, writes zeros ahead of it. Failures are
  // remembered, not thrown.
  virtual void sync_in_background() noexcept = 0;
  // True when an append of any process waits for a sync.
  virtual bool needs_sync() const noexcept = 0;
};

class SyncThread {
 public:
  explicit SyncThread(int64_t interval_us) : interval_us_(interval_us) {}
  ~SyncThread();

  // Watches the partition for as long as it lives.
  void watch(std::weak_ptr<Syncable> partition);
  // Starts the thread, which calls `look` once per interval; it must not throw. Before anything
  // else. Throws kStorage when the system has no thread to give.
  void look_with(std::function<void()> look);
  // What was requested and is due, now. By `look`, between the parts of what takes long.
  void sync_due();
  // Syncs the partition at that time.
  void request(std::weak_ptr<Syncable> partition, int64_t due_us);
  // Joins the thread; requests that are still waiting are dropped. Idempotent.
  void stop();

 private:
  struct Request {
    int64_t due_us;
    std::weak_ptr<Syncable> partition;
  };
  struct Watch {
    std::weak_ptr<Syncable> partition;
    int64_t unsynced_since_us;  // -1: synced when last looked at
  };

  void run();
  void start();
  std::vector<std::shared_ptr<Syncable>> take_requested(int64_t now_us);
  std::vector<std::shared_ptr<Syncable>> take_due(int64_t now_us);

  const int64_t interval_us_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request> requests_;  // by due time
  std::vector<Watch> watches_;
  std::function<void()> look_;
  int64_t next_look_us_ = 0;
  bool is_stopping_ = false;
  std::unique_ptr<std::thread> thread_;
};

}  // namespace pystream::storage
