#include "storage/tail_watch.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "storage/fork_guard.hpp"
#include "storage/wait.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kIdleSleepUs = int64_t{3600} * 1'000'000;

// Signals are for the threads of the program: a new thread inherits the mask of its maker.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// A damaged control page counts as growth: whoever looks then gets the error.
bool is_worth_a_look(PartitionStates partitions, std::span<const int64_t> offsets) noexcept {
  try {
    return is_any_reached(partitions, offsets);
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

TailWatch::TailWatch(std::shared_ptr<TailThread> thread) : thread_(std::move(thread)) {
  fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd_ < 0) throw_storage_error("cannot make an event descriptor", "eventfd", errno);
}

TailWatch::~TailWatch() {
  // In a forked child the mutex may be locked for ever, and there is no thread to forget it.
  if (!thread_->is_forked()) {
    std::lock_guard guard(thread_->mutex_);
    thread_->forget(*this);
  }
  ::close(fd_);
}

void TailWatch::arm(std::span<const std::shared_ptr<Partition>> partitions,
                    std::vector<int64_t> offsets, uint32_t interrupts) {
  std::vector<std::shared_ptr<Partition::State>> states;
  for (const auto& partition : partitions) {
    partition->state_->log->require_usable();
    states.push_back(partition->state_);
  }
  {
    std::lock_guard guard(thread_->mutex_);
    if (thread_->is_stopping_) {
      throw Error(ErrorCode::kClosed,
                  "the log in " + thread_->directory_ + " is closed. Open it again.",
                  {{"path", thread_->directory_}});
    }
    thread_->forget(*this);
    partitions_ = std::move(states);
    offsets_ = std::move(offsets);
    is_armed_ = true;
    thread_->armed_.push_back(this);
    if (interrupts_.load() != interrupts) return thread_->fire(*this);
    thread_->start();
  }
  thread_->call();
}

void TailWatch::disarm() {
  std::lock_guard guard(thread_->mutex_);
  thread_->forget(*this);
  uint64_t count = 0;
  static_cast<void>(::read(fd_, &count, sizeof(count)));  // EAGAIN: it has not fired
}

void TailWatch::interrupt() {
  interrupts_.fetch_add(1);
  futex_wake_all(&interrupts_);
  std::lock_guard guard(thread_->mutex_);
  if (is_armed_) thread_->fire(*this);
}

TailThread::TailThread(std::string directory)
    : directory_(std::move(directory)), fork_generation_(storage::fork_generation()) {}

bool TailThread::is_forked() const { return fork_generation_ != storage::fork_generation(); }

void TailThread::start() {
  if (thread_) return;
  const SignalsBlocked blocked;
  thread_ = std::make_unique<std::thread>([this] { run(); });
}

void TailThread::fire(TailWatch& watch) {
  const uint64_t one = 1;
  // Cannot fail: the counter is 0 or 1, because disarm() reads it.
  static_cast<void>(::write(watch.fd_, &one, sizeof(one)));
  forget(watch);
}

void TailThread::forget(TailWatch& watch) {
  if (!watch.is_armed_) return;
  watch.is_armed_ = false;
  watch.partitions_.clear();
  watch.offsets_.clear();
  std::erase(armed_, &watch);
}

void TailThread::call() {
  calls_.fetch_add(1);
  futex_wake_all(&calls_);
}

void TailThread::stop() {
  std::unique_ptr<std::thread> thread;
  {
    std::lock_guard guard(mutex_);
    is_stopping_ = true;
    while (!armed_.empty()) fire(*armed_.back());
    thread = std::move(thread_);
  }
  call();
  if (thread) thread->join();
}

void TailThread::run() {
  std::vector<std::shared_ptr<Partition::State>> partitions;
  std::vector<int64_t> offsets;
  std::unique_lock guard(mutex_);
  while (!is_stopping_) {
    const FutexWait called{&calls_, calls_.load()};
    for (size_t i = 0; i < armed_.size();) {
      TailWatch& watch = *armed_[i];
      if (is_worth_a_look(watch.partitions_, watch.offsets_)) {
        fire(watch);  // takes it out of the list
        continue;
      }
      partitions.insert(partitions.end(), watch.partitions_.begin(), watch.partitions_.end());
      offsets.insert(offsets.end(), watch.offsets_.begin(), watch.offsets_.end());
      ++i;
    }
    guard.unlock();
    try {
      const int64_t limit_us = partitions.empty() ? kIdleSleepUs : kLongestSleepUs;
      sleep_for_any(partitions, offsets, &called, limit_us);
    } catch (const Error&) {
      // Damage that came since the look above; the next one finds it.
    }
    partitions.clear();
    offsets.clear();
    guard.lock();
  }
}

}  // namespace pystream::storage
