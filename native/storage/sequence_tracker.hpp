#pragma once
// Of one named producer and topic: which sequence comes next, and up to which one all are stored.
//
// A producer's records wait in batches, one batch per partition at a time and more behind it, and
// the sequences of a batch rise. So all below the smallest first sequence of a batch that is not
// stored are.
//
// Owned by the producer; not thread-safe.

#include <algorithm>
#include <cstdint>
#include <set>

namespace pystream::storage {

class SequenceTracker {
 public:
  // `complete`: all sequences up to it were stored before this producer was made; -1: none.
  explicit SequenceTracker(int64_t complete = -1) : complete_(complete), next_(complete + 1) {}

  // What a record gets that is sent without one.
  int64_t next() const { return next_; }
  // The largest that was sent; -1: none.
  int64_t last_sent() const { return last_sent_; }
  void send(int64_t sequence) {
    last_sent_ = sequence;
    next_ = sequence + 1;
  }

  // A batch, named by its first sequence, waits; it is stored; it is stored as the producer's acks
  // demand. One that fails waits for ever.
  void wait_for(int64_t first) {
    waiting_.insert(first);
    unacknowledged_.insert(first);
  }
  void stored(int64_t first) { waiting_.erase(first); }
  void acknowledged(int64_t first) {
    waiting_.erase(first);
    unacknowledged_.erase(first);
  }

  // Up to which all are acknowledged.
  int64_t complete() const { return complete_before(unacknowledged_, unacknowledged_.begin()); }
  // Up to which all are stored, once the batch of that first sequence is.
  int64_t complete_with(int64_t first) const {
    auto smallest = waiting_.begin();
    if (smallest != waiting_.end() && *smallest == first) ++smallest;
    return complete_before(waiting_, smallest);
  }

 private:
  int64_t complete_before(const std::set<int64_t>& batches,
                          std::set<int64_t>::const_iterator smallest) const {
    return std::max(complete_, smallest == batches.end() ? last_sent_ : *smallest - 1);
  }

  const int64_t complete_;
  int64_t next_;
  int64_t last_sent_ = -1;
  std::set<int64_t> waiting_;
  std::set<int64_t> unacknowledged_;
};

}  // namespace pystream::storage
