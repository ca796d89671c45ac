#pragma once
// What a Log and its partitions have in common. Lives until the last of them is gone.

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "storage/fork_guard.hpp"
#include "storage/log.hpp"
#include "storage/order_file.hpp"
#include "storage/sync_thread.hpp"
#include "storage/tail_watch.hpp"

namespace pystream::storage {

struct LogShared {
  LogShared(std::string directory, const LogOptions& options)
      : directory(std::move(directory)),
        options(options),
        sync_thread(options.sync_interval_us),
        tail_thread(std::make_shared<TailThread>(this->directory)) {}

  const std::string directory;
  const LogOptions options;
  std::shared_ptr<FileLayer> files;
  BootId boot{};
  OrderFile order;
  const uint64_t fork_generation = storage::fork_generation();
  SyncPledges pledges;
  std::atomic<bool> is_closed{false};
  std::atomic<bool> is_compaction_stopped{false};
  SyncThread sync_thread;
  const std::shared_ptr<TailThread> tail_thread;  // watches may outlive the log

  bool is_forked() const { return fork_generation != storage::fork_generation(); }

  int64_t clock_us() const {
    return options.clock ? options.clock->load(std::memory_order_relaxed) : wall_clock_us();
  }

  // Throws kClosed after close(), kLog in a forked child.
  void require_usable() const {
    if (is_closed.load(std::memory_order_acquire)) throw_closed();
    if (is_forked()) throw_forked();
  }

 private:
  [[noreturn]] void throw_closed() const;
  [[noreturn]] void throw_forked() const;
};

}  // namespace pystream::storage
