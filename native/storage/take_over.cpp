#include "storage/take_over.hpp"

#include <exception>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kPauseUs = 1'000'000;  // after a failure

// A look at the page without opening the partition: most partitions have nothing to sync. One that
// is not of this boot, or damaged, is recovered by who opens it, from what is on the disk.
bool owes_sync(const PartitionPlace& place) {
  const std::string path = control_path(place);
  const File file = File::open_if_exists(place.files, path, O_RDONLY);
  if (!file.is_open()) return false;
  const ControlPage page = ControlPage::in_memory(file, path);
  return page.identity() && page.needs_sync();
}

// As owes_sync(); true when that cannot be told.
bool may_owe_sync(const PartitionPlace& place) noexcept {
  try {
    return owes_sync(place);
  } catch (const std::exception&) {
    return true;
  }
}

// False when someone else has been syncing it for longer than an interval.
bool sync_place(const std::shared_ptr<LogShared>& log,
                std::shared_ptr<const PartitionPlace> place) {
  const auto partition = std::make_shared<Partition::State>(log, std::move(place));
  const int64_t end_offset = partition->control.words().interval_end_offset.load();
  const bool is_synced = partition->sync_to(end_offset, log->options.sync_interval_us);
  partition->close_files();
  return is_synced;
}

// False when it should be tried again. Where a topic is being deleted, or its files are damaged,
// there is nothing to be done here; a sync that fails is on the page, which then owes none.
bool is_done_with(const std::shared_ptr<LogShared>& log,
                  const std::shared_ptr<const PartitionPlace>& place) {
  try {
    return !owes_sync(*place) || sync_place(log, place);
  } catch (const Error& error) {
    const bool is_final = error.code() == ErrorCode::kUnknownTopic ||
                          error.code() == ErrorCode::kCorruptRecord ||
                          error.code() == ErrorCode::kLog;
    return is_final || !may_owe_sync(*place);
  }
}

// False when a partition could not be looked at, or the log was closed meanwhile.
bool sync_all_partitions(const std::shared_ptr<LogShared>& log) {
  bool is_all = true;
  visit_places(log->files, log->directory, [&](std::shared_ptr<const PartitionPlace> place) {
    const bool is_closed = log->is_closed.load(std::memory_order_acquire);
    if (is_closed || !is_done_with(log, place)) is_all = false;
    log->sync_thread.sync_due();  // what this process owes must not wait
    return !is_closed;
  });
  return is_all;
}

}  // namespace

void watch_pledges(const std::shared_ptr<LogShared>& log) {
  const OrderHeader& self = log->order.header();
  log->pledges.begin(log->files, log->directory + "/order", {self.device, self.inode},
                     SyncPledges::Words(log->order.words().pledges));
  log->sync_thread.look_with([weak = std::weak_ptr(log), not_before_us = int64_t{0}]() mutable {
    // Never the last reference: the thread is joined before the log lets go of its own.
    const auto shared = weak.lock();
    if (!shared || monotonic_us() < not_before_us) return;
    bool is_all = true;
    try {
      shared->pledges.look([&] { return is_all = sync_all_partitions(shared); });
    } catch (const std::exception&) {
      is_all = false;
    }
    if (!is_all) not_before_us = monotonic_us() + kPauseUs;
  });
}

}  // namespace pystream::storage
