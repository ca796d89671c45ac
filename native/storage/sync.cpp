// What is durable: syncing, alone and together.
//
// Whoever needs offsets to be durable either finds that they are, or takes the flush lock and syncs
// all that is published, or sleeps until its holder is done. The end of a sync wakes those that it
// covered, and one of those who came too late for it, who syncs for all of them. So of those who
// wait at the same time, threads and processes alike, one syncs, and each is woken once.
//
// Every sync of a segment happens under the flush lock and after a look at sync_failed: none
// follows a failed one, whose pages the kernel may have dropped and called clean.
//
// Crash: the flush lock dies with its holder, and the durable offset rises only after the sync.

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/futex.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

// A holder that is killed wakes nobody; so long until someone else takes over.
constexpr int64_t kLongestSleepUs = 2'000;

// Holds the flush lock, unless another thread or process does, for a scope; then wakes those who
// wait for it or for what it synced.
class FlushTurn {
 public:
  explicit FlushTurn(Partition::State& state)
      : state_(state), is_held_(state.lock.try_acquire_flush()) {
    if (is_held_) state_.control.words().sync_pid.store(state_.pid, std::memory_order_relaxed);
  }
  ~FlushTurn() {
    if (!is_held_) return;
    state_.control.words().syncing_end.store(0, std::memory_order_relaxed);
    state_.lock.release_flush();
    state_.control.wake_synced();
  }
  FlushTurn(const FlushTurn&) = delete;
  FlushTurn& operator=(const FlushTurn&) = delete;

  bool is_held() const { return is_held_; }

 private:
  Partition::State& state_;
  const bool is_held_;
};

// Want of descriptors, which no sync has.
bool is_want_of_descriptors(int64_t number) { return number == EMFILE || number == ENFILE; }

// Of the process rather than of the disk, when it could not even open what was to be synced. A sync
// itself may say ENOMEM, and then nobody knows what it has done.
bool is_own_want(int64_t number) {
  return is_want_of_descriptors(number) || number == ENOMEM || number == EACCES || number == EPERM;
}

template <typename Value>
Value fact_of(const Error& error, const std::string& name, Value otherwise) {
  for (const ErrorFact& fact : error.facts()) {
    if (fact.first == name) return std::get<Value>(fact.second);
  }
  return otherwise;
}

int64_t errno_of(const Error& error) { return fact_of(error, "errno", int64_t{EIO}); }

}  // namespace

void Partition::State::require_sound() const {
  const uint32_t failure = control.words().sync_failed.load(std::memory_order_acquire);
  if (failure == 0) return;
  throw Error(ErrorCode::kStorage,
              "a sync of " + place->name() + " failed (" +
                  std::strerror(static_cast<int>(failure)) +
                  "), so what is not durable counts as unwritten, and the partition takes no more "
                  "appends. Reading goes on. Check the disk, then close the log and open it again: "
                  "the partition goes on behind what is durable.",
              {{"errno", int64_t{failure}},
               {"path", place->directory},
               {"topic", place->topic},
               {"partition", int64_t{place->partition}}});
}

void Partition::State::throw_sync_timeout() const {
  const int64_t holder = control.words().sync_pid.load(std::memory_order_relaxed);
  throw Error(ErrorCode::kRequestTimeout,
              "process " + std::to_string(holder) + " has been syncing " + place->name() +
                  " for more than " + std::to_string(log->options.lock_timeout_us / 1'000) +
                  " ms. What was appended is published, but not acknowledged as durable. If the "
                  "process is stopped, continue or end it, then sync.",
              {{"topic", place->topic}, {"partition", int64_t{place->partition}}, {"pid", holder}});
}

// The durable offset first: one that a later incarnation raised is followed by its number.
bool Partition::State::is_durable(int64_t end_offset) const {
  const int64_t durable = control.words().durable_offset.load(std::memory_order_acquire);
  read_published();
  return durable >= end_offset;
}

bool Partition::State::sync_to(int64_t end_offset, int64_t timeout_us) {
  ControlPage::Words& words = control.words();
  const int64_t deadline_us = monotonic_us() + timeout_us;
  end_offset = std::min(end_offset, read_published().data_end_offset);
  bool must_try = false;   // whatever the page says: who was syncing may be dead
  bool came_late = false;  // when it last slept, with that sync word
  uint32_t late_since = 0;
  for (bool is_announced = false;;) {
    const uint32_t seen = words.sync_word.load(std::memory_order_seq_cst);
    // Before the look: an end of a sync that does not see the flag is seen by the look.
    if (is_announced) words.sync_waiters.exchange(1, std::memory_order_seq_cst);
    if (is_durable(end_offset)) {
      if (came_late) control.pass_on_wake(late_since);
      return true;
    }
    require_sound();
    const int64_t syncing_end = words.syncing_end.load(std::memory_order_acquire);
    if (syncing_end == 0 || must_try) {
      if (const FlushTurn turn(*this); turn.is_held()) {
        if (!is_durable(end_offset)) sync_published();
        came_late = false;  // the end of this turn wakes them
        is_announced = false;
        continue;
      }
    }
    if (!is_announced) {
      is_announced = true;
      continue;
    }
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) return false;
    if (lock.is_closed()) log->require_usable();
    const bool is_covered = end_offset <= syncing_end;
    came_late = !is_covered;
    late_since = seen;
    must_try = !control.wait_synced(seen, is_covered, std::min(left_us, kLongestSleepUs));
  }
}

void Partition::State::require_durable(int64_t end_offset) {
  if (!sync_to(end_offset, log->options.lock_timeout_us)) throw_sync_timeout();
}

void Partition::State::sync() { require_durable(read_published().data_end_offset); }

void Partition::State::with_flush_lock(const std::function<void()>& action) {
  ControlPage::Words& words = control.words();
  const int64_t deadline_us = monotonic_us() + log->options.lock_timeout_us;
  for (;;) {
    const uint32_t seen = words.sync_word.load(std::memory_order_seq_cst);
    words.sync_waiters.exchange(1, std::memory_order_seq_cst);
    if (const FlushTurn turn(*this); turn.is_held()) return action();
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) throw_sync_timeout();
    futex_wait({&words.sync_word, seen}, std::min(left_us, kLongestSleepUs));
  }
}

void Partition::State::sync_segment(Segment& segment) {
  with_flush_lock([&] {
    require_sound();
    try {
      segment.sync();
    } catch (const Error& error) {
      fail_sync(error);
    }
  });
}

void Partition::State::try_sync_segment(Segment& segment) {
  const FlushTurn turn(*this);
  if (!turn.is_held()) return;  // who holds it, or the next, syncs the whole file
  require_sound();
  // With what is published and not durable yet, so that who waits for that need not sync again.
  sync_published();
  try {
    segment.sync();
  } catch (const Error& error) {
    fail_sync(error);
  }
}

// Syncs every segment with anything above the durable offset. Such a segment may also be new, and
// then its name, and at first its directories', must reach the disk too.
void Partition::State::sync_published() {
  ControlPage::Words& words = control.words();
  require_sound();
  const int64_t durable = words.durable_offset.load(std::memory_order_acquire);
  const int64_t begin_us = monotonic_us();
  const PublishedState published = read_published();
  const int64_t active = published.segment_base_offset;
  if (durable >= published.data_end_offset || active == kNoSegment) return;
  words.syncing_end.store(published.data_end_offset, std::memory_order_release);
  bool is_opening = false;
  try {
    auto base = segments->at_or_below(durable, active);
    if (!base) base = segments->after(-1, active);
    while (base) {
      is_opening = true;
      const auto next = segments->after(*base, active);
      // The next one says where the log ended before it. A segment that is durable up to there is
      // left alone: after a failed sync it is the one that may not be synced again.
      const auto following = next ? segments->try_get(*next) : nullptr;
      if (!following || following->header().previous_end_offset > durable) {
        const auto segment = segments->get(*base);
        is_opening = false;
        segment->sync();
        // Before it is said to be durable: the bytes of a file without a name go with its holders.
        if (*base == active) require_in_place(*segment);
      }
      base = next;
    }
    is_opening = false;
    if (active >= durable) sync_directories(durable == 0);
  } catch (const Error& error) {
    if (is_opening && is_own_want(errno_of(error))) throw_not_begun(error);
    fail_sync(error);
  }
  control.raise_durable(published.data_end_offset);
  words.last_sync_us.store(begin_us, std::memory_order_relaxed);
}

// The partition's directory, and for a new partition all above it up to the log's.
void Partition::State::sync_directories(bool is_new) {
  std::string directory = place->directory;
  const int levels = is_new ? 4 : 1;  // <partition>, <topic id>, topics, the log's directory
  for (int i = 0; i < levels; ++i) {
    checked(place->files->sync_directory(directory), "cannot sync the directory", directory);
    directory.resize(directory.rfind('/'));
  }
}

// For what could not be opened for want of something in this process: no sync was begun, the kernel
// has dropped nothing, and this or another process may sync later.
void Partition::State::throw_not_begun(const Error& error) const {
  throw Error(
      ErrorCode::kStorage,
      place->name() +
          " could not be synced, so what was appended is published, but not acknowledged as "
          "durable: " +
          error.what(),
      {{"errno", errno_of(error)},
       {"path", fact_of(error, "path", place->directory)},
       {"topic", place->topic},
       {"partition", int64_t{place->partition}}});
}

// Also for what could not be opened for another reason: nobody may think that it was synced.
void Partition::State::fail_sync(const Error& error) {
  if (is_deleted()) {
    throw Error(ErrorCode::kUnknownTopic,
                "topic " + place->topic + " was deleted before its records were durable.",
                {{"topic", place->topic}, {"partition", int64_t{place->partition}}});
  }
  const int64_t number = errno_of(error);
  if (is_want_of_descriptors(number)) throw_not_begun(error);
  control.words().sync_failed.store(static_cast<uint32_t>(number), std::memory_order_release);
  throw Error(ErrorCode::kStorage,
              "the sync of " + place->name() + " failed: " + error.what() +
                  ". What is not durable counts as unwritten. Check the disk, then close the log "
                  "and open it again.",
              {{"errno", number},
               {"path", fact_of(error, "path", place->directory)},
               {"topic", place->topic},
               {"partition", int64_t{place->partition}}});
}

bool Partition::State::needs_sync() const noexcept { return control.needs_sync(); }

void Partition::State::request_sync() {
  if (is_sync_requested.exchange(true)) return;
  log->sync_thread.request(weak_from_this(), monotonic_us() + log->options.sync_interval_us);
}

// One sync per interval, whichever process does it: what the last one left out was appended after
// it began, and has time until an interval later.
void Partition::State::sync_in_background() noexcept {
  prewrite_in_background();
  is_sync_requested.store(false);
  if (!needs_sync()) return;
  const ControlPage::Words& words = control.words();
  const int64_t interval_us = log->options.sync_interval_us;
  const int64_t now_us = monotonic_us();
  const int64_t due_us = words.last_sync_us.load(std::memory_order_relaxed) + interval_us;
  const bool is_early = now_us < due_us && due_us <= now_us + interval_us;
  try {
    if (is_early ||
        !sync_to(words.interval_end_offset.load(std::memory_order_acquire), interval_us)) {
      is_sync_requested.store(true);
      log->sync_thread.request(weak_from_this(), is_early ? due_us : now_us + interval_us);
    } else {
      is_sync_postponed.store(false);
    }
  } catch (const Error&) {
    // A failed sync is remembered in sync_failed: the next append says it.
    if (!needs_sync()) return;
    is_sync_postponed.store(true);
    is_sync_requested.store(true);
    log->sync_thread.request(weak_from_this(), now_us + interval_us);
  }
}

}  // namespace pystream::storage
