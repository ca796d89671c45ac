#include "storage/transaction_tracker.hpp"

#include <algorithm>

namespace pystream::storage {

void TransactionTracker::pass(int64_t stable) {
  std::erase_if(open_, [&](const OpenTransaction& open) { return open.first_offset < stable; });
  next_offset_ = std::max(next_offset_, stable);
}

void TransactionTracker::see(const BatchHeader& header) {
  next_offset_ = header.base_offset + header.last_offset_delta + 1;
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const OpenTransaction& open) {
    return open.transaction_id == header.transaction_id;
  });
  if ((header.flags & kFlagControl) != 0) {
    if (found != open_.end()) open_.erase(found);
  } else if (found == open_.end()) {
    open_.push_back({header.transaction_id, header.producer_id, header.producer_epoch,
                     header.base_offset, false});
  }
}

void TransactionTracker::see_damage() {
  for (OpenTransaction& open : open_) open.is_doubtful = true;
}

bool TransactionTracker::is_open(int64_t transaction_id) const {
  return std::any_of(open_.begin(), open_.end(), [&](const OpenTransaction& open) {
    return open.transaction_id == transaction_id;
  });
}

int64_t TransactionTracker::stable_offset() const {
  for (const OpenTransaction& open : open_) {
    if (!open.is_doubtful) return open.first_offset;
  }
  return next_offset_;
}

}  // namespace pystream::storage
