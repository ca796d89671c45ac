#include "storage/transaction_tracker.hpp"

#include <algorithm>

namespace pystream::storage {

void TransactionTracker::drop_below(int64_t log_start) {
  std::erase_if(open_, [&](const OpenTransaction& open) { return open.end_offset <= log_start; });
  for (OpenTransaction& open : open_) open.first_offset = std::max(open.first_offset, log_start);
  next_offset_ = std::max(next_offset_, log_start);
}

void TransactionTracker::pass(int64_t stable) {
  std::erase_if(open_, [&](const OpenTransaction& open) { return open.first_offset < stable; });
  next_offset_ = std::max(next_offset_, stable);
}

void TransactionTracker::see(const BatchHeader& header) {
  const int64_t first = std::max(next_offset_, header.base_offset);
  next_offset_ = header.base_offset + header.last_offset_delta + 1;
  auto found = std::find_if(open_.begin(), open_.end(), [&](const OpenTransaction& open) {
    return open.transaction_id == header.transaction_id;
  });
  const bool is_marker = (header.flags & kFlagControl) != 0;
  // A marker stands behind all batches: that of a doubtful one with another batch is yet to come.
  // What was passed stays passed.
  if (found != open_.end() && (is_marker || found->is_doubtful)) {
    open_.erase(found);
    found = open_.end();
  }
  if (is_marker) return;
  if (found == open_.end()) {
    open_.push_back({header.transaction_id, header.producer_id, header.producer_epoch, first,
                     next_offset_, false});
  } else {
    found->end_offset = next_offset_;
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
