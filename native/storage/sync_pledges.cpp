#include "storage/sync_pledges.hpp"

#include <cerrno>

#include "base/error.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kBits = 64;
constexpr size_t kSlots = kPledgeWords * kBits;
constexpr int64_t kFirstLockByte = 4096;  // of the order file, behind its end

uint64_t bit_of(size_t slot) { return uint64_t{1} << (slot % kBits); }

}  // namespace

void SyncPledges::begin(std::shared_ptr<FileLayer> files, std::string path, FileIdentity self,
                        Words words) {
  files_ = std::move(files);
  path_ = std::move(path);
  self_ = self;
  words_ = words.data();
}

// False when closed.
bool SyncPledges::require_open() {
  if (!files_) return false;
  if (file_.is_open()) return true;
  File file = File::open_if_exists(files_, path_, O_RDWR);
  if (!file.is_open() || file.identity() != self_) {
    throw Error(ErrorCode::kStorage,
                path_ +
                    " was removed or replaced while the log was open, and who opened the log since "
                    "does not see this process. Close the log and open it again; files of a log "
                    "that is open must stay where they are.",
                {{"errno", int64_t{ESTALE}}, {"path", path_}});
  }
  file_ = std::move(file);
  fork_guard_ = std::make_unique<ForkGuard>(this);
  return true;
}

bool SyncPledges::is_given(size_t slot) const {
  return (words_[slot / kBits].load(std::memory_order_seq_cst) & bit_of(slot)) != 0;
}

std::optional<size_t> SyncPledges::first_given(size_t begin, size_t end) const {
  for (size_t slot = begin; slot < end; ++slot) {
    if (slot % kBits == 0 && words_[slot / kBits].load(std::memory_order_relaxed) == 0) {
      slot += kBits - 1;
      continue;
    }
    if (is_given(slot)) return slot;
  }
  return std::nullopt;
}

bool SyncPledges::try_lock(size_t slot) {
  const int64_t byte = kFirstLockByte + static_cast<int64_t>(slot);
  const int result = file_.layer().lock(file_.fd(), LockMode::kExclusive, byte);
  if (result == -EAGAIN) return false;
  checked(result, "cannot lock", file_.path());
  return true;
}

void SyncPledges::unlock(size_t slot) {
  file_.layer().lock(file_.fd(), LockMode::kUnlock, kFirstLockByte + static_cast<int64_t>(slot));
}

void SyncPledges::clear(size_t slot) {
  words_[slot / kBits].fetch_and(~bit_of(slot), std::memory_order_seq_cst);
}

void SyncPledges::give() {
  if (is_own_given_.load(std::memory_order_acquire)) return;
  std::lock_guard guard(mutex_);
  if (own_ || !require_open()) return;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (is_given(slot) || !try_lock(slot)) continue;
    if (is_given(slot)) {  // since the look, by one who is dead by now
      unlock(slot);
      continue;
    }
    words_[slot / kBits].fetch_or(bit_of(slot), std::memory_order_seq_cst);
    own_ = slot;
    next_ = slot + 1;  // then those who give pledges ask after different ones
    is_own_given_.store(true, std::memory_order_release);
    return;
  }
  throw Error(ErrorCode::kLog,
              "all " + std::to_string(kSlots) + " pledges to sync in " + path_ +
                  " are taken: so many processes append with acks=\"interval\". Close the log in "
                  "some of them, or append with acks=\"published\" or \"durable\".",
              {{"path", path_}});
}

void SyncPledges::close(bool is_synced) {
  std::lock_guard guard(mutex_);
  if (own_ && is_synced) clear(*own_);
  own_.reset();
  is_own_given_.store(false, std::memory_order_release);
  fork_guard_.reset();
  file_.close();  // and with it the lock
  files_.reset();
}

// The bytes that it locks are of pledges whose givers are dead.
std::vector<size_t> SyncPledges::lock_broken() {
  std::lock_guard guard(mutex_);
  std::vector<size_t> broken;
  const size_t start = next_;
  const auto visit = [&](size_t begin, size_t end) {
    for (auto slot = first_given(begin, end); slot; slot = first_given(*slot + 1, end)) {
      if (slot == own_) continue;
      if (!require_open()) return false;
      next_ = (*slot + 1) % kSlots;
      if (!try_lock(*slot)) return false;  // alive, or someone else is at it
      if (is_given(*slot)) {
        broken.push_back(*slot);
      } else {
        unlock(*slot);
      }
    }
    return true;
  };
  try {
    if (visit(start, kSlots)) visit(0, start);
  } catch (...) {
    for (const size_t slot : broken) unlock(slot);
    throw;
  }
  return broken;
}

void SyncPledges::look(const std::function<bool()>& sync_all) {
  const std::vector<size_t> broken = lock_broken();
  if (broken.empty()) return;
  const auto let_go = [&](bool is_all) {
    std::lock_guard guard(mutex_);
    for (const size_t slot : broken) {
      if (is_all) clear(slot);
      unlock(slot);
    }
  };
  try {
    let_go(sync_all());
  } catch (...) {
    let_go(false);
    throw;
  }
}

}  // namespace pystream::storage
