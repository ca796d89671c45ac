#include "storage/sync_thread.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace pystream::storage {
namespace {

// A living process syncs its own appends within one interval. What is still unsynced after this
// many was appended by a process that is gone.
constexpr int64_t kTakeOverIntervals = 3;
constexpr int64_t kShortestPauseUs = 100;

}  // namespace

SyncThread::~SyncThread() { stop(); }

void SyncThread::start() {
  if (thread_ || is_stopping_) return;
  try {
    thread_ = std::make_unique<std::thread>([this] { run(); });
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::kStorage,
                std::string("cannot start a thread that syncs the log: ") + error.what() +
                    ". The system or the user is at the limit of threads: end some, or raise it "
                    "with \"ulimit -u\".",
                {{"errno", int64_t{error.code().value()}}});
  }
}

void SyncThread::look_with(std::function<void()> look) {
  std::lock_guard guard(mutex_);
  look_ = std::move(look);
  next_look_us_ = monotonic_us() + interval_us_;
  start();
}

void SyncThread::watch(std::weak_ptr<Syncable> partition) {
  std::lock_guard guard(mutex_);
  watches_.push_back({std::move(partition), -1});
  start();
}

void SyncThread::request(std::weak_ptr<Syncable> partition, int64_t due_us) {
  {
    std::lock_guard guard(mutex_);
    const auto later = std::find_if(requests_.begin(), requests_.end(),
                                    [&](const Request& other) { return other.due_us > due_us; });
    const bool is_first = later == requests_.begin();
    requests_.insert(later, {due_us, std::move(partition)});
    start();
    if (!is_first) return;  // the thread is already waiting for an earlier one
  }
  changed_.notify_one();
}

void SyncThread::stop() {
  std::unique_ptr<std::thread> thread;
  {
    std::lock_guard guard(mutex_);
    is_stopping_ = true;
    requests_.clear();
    thread = std::move(thread_);
  }
  changed_.notify_one();
  if (thread) thread->join();
}

void SyncThread::sync_due() {
  std::unique_lock guard(mutex_);
  const std::vector<std::shared_ptr<Syncable>> due = take_requested(monotonic_us());
  guard.unlock();
  for (const auto& partition : due) partition->sync_in_background();
}

std::vector<std::shared_ptr<Syncable>> SyncThread::take_requested(int64_t now_us) {
  std::vector<std::shared_ptr<Syncable>> due;
  auto request = requests_.begin();
  for (; request != requests_.end() && request->due_us <= now_us; ++request) {
    if (auto partition = request->partition.lock()) due.push_back(std::move(partition));
  }
  requests_.erase(requests_.begin(), request);
  return due;
}

std::vector<std::shared_ptr<Syncable>> SyncThread::take_due(int64_t now_us) {
  std::vector<std::shared_ptr<Syncable>> due = take_requested(now_us);
  if (now_us < next_look_us_) return due;
  next_look_us_ = now_us + std::max(interval_us_, kShortestPauseUs);
  std::erase_if(watches_, [](const Watch& watch) { return watch.partition.expired(); });
  for (Watch& watch : watches_) {
    auto partition = watch.partition.lock();
    if (!partition || !partition->needs_sync()) {
      watch.unsynced_since_us = -1;
    } else if (watch.unsynced_since_us < 0) {
      watch.unsynced_since_us = now_us;
    } else if (now_us - watch.unsynced_since_us >= kTakeOverIntervals * interval_us_) {
      watch.unsynced_since_us = -1;
      due.push_back(std::move(partition));
    }
  }
  return due;
}

void SyncThread::run() {
  std::unique_lock guard(mutex_);
  while (!is_stopping_) {
    const int64_t now_us = monotonic_us();
    const bool is_look_due = look_ && now_us >= next_look_us_;
    std::vector<std::shared_ptr<Syncable>> due = take_due(now_us);
    if (!due.empty() || is_look_due) {
      guard.unlock();
      for (const auto& partition : due) partition->sync_in_background();
      if (is_look_due) look_();
      due.clear();  // may destroy the last reference, so not under the mutex
      guard.lock();
      continue;
    }
    const int64_t wake_us =
        requests_.empty() ? next_look_us_ : std::min(requests_[0].due_us, next_look_us_);
    const auto pause = std::chrono::microseconds(std::max(kShortestPauseUs, wake_us - now_us));
    changed_.wait_for(guard, pause);
  }
}

}  // namespace pystream::storage
