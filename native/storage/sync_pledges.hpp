#pragma once
// Who still owes the log a sync, in the order page: one bit per process (strictly, per open log)
// that has appended at the level interval. The bit stands for the pledge to sync within an
// interval; a lock on the file DIR/order, on a byte of the bit's own, stands for the life of who
// gave it. A bit under a free lock is the pledge of a dead one, and whoever lives syncs in its
// place (Log), also partitions that it never opened.
//
// A bit changes only under its lock. Crash: a pledge is given before the first append that needs
// it, and taken back after the last sync; a process that is killed while it syncs for a dead one
// leaves the bit as it was. After a power loss the page is made anew, without bits.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/fork_guard.hpp"

namespace pystream::storage {

inline constexpr size_t kPledgeWords = 256;  // of 64 bits

// Any thread; look() by one thread at a time.
class SyncPledges final : public ClosedInChild {
 public:
  using Words = std::span<std::atomic<uint64_t>, kPledgeWords>;

  SyncPledges() = default;
  ~SyncPledges() { close(); }
  // `self` is the order file, `words` lie in its mapping, which outlives this object.
  void begin(std::shared_ptr<FileLayer> files, std::string path, FileIdentity self, Words words);
  // Before an append that will want a sync. Idempotent, and cheap but for the first time. Throws
  // kStorage when the system refuses the lock or the order file is not there any more, kLog when
  // all bits are taken.
  void give();
  // `is_synced`: all that this object's owner appended; else an open pledge is left to others.
  void close(bool is_synced = false);
  // Looks whether who gave a pledge is dead, beginning where the last look ended; of those who live
  // it asks after one. When one is dead, calls `sync_all`; what it returns says whether all was
  // looked at. Else the pledges stay, and it is called again by a later look. Throws kStorage. Not
  // while close() may be called.
  void look(const std::function<bool()>& sync_all);
  void close_in_child() override { file_.close(); }

 private:
  bool require_open();
  std::optional<size_t> first_given(size_t begin, size_t end) const;
  bool is_given(size_t slot) const;
  bool try_lock(size_t slot);
  void unlock(size_t slot);
  void clear(size_t slot);
  std::vector<size_t> lock_broken();

  std::mutex mutex_;                  // guards the rest, but for is_own_given_
  std::shared_ptr<FileLayer> files_;  // null before begin() and after close()
  std::string path_;
  FileIdentity self_;
  File file_;  // opened when a lock is wanted for the first time
  std::unique_ptr<ForkGuard> fork_guard_;
  std::atomic<uint64_t>* words_ = nullptr;
  std::optional<size_t> own_;
  size_t next_ = 0;  // where the next look begins
  std::atomic<bool> is_own_given_{false};
};

}  // namespace pystream::storage
