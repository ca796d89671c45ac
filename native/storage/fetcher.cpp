#include "storage/fetcher.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.hpp"

namespace pystream::storage {

namespace {

// Of equally old ones the partition named first: only batches of different logs can be.
bool is_later(const Fetcher::Fetched& left, const Fetcher::Fetched& right) {
  return std::pair(left.batch.append_sequence(), left.reader) >
         std::pair(right.batch.append_sequence(), right.reader);
}

}  // namespace

Fetcher::Fetcher(std::vector<PartitionReader*> readers)
    : readers_(std::move(readers)), headless_(readers_.size()) {
  std::iota(headless_.begin(), headless_.end(), size_t{0});
}

// Removes the reader from the headless ones when it has more.
bool Fetcher::look_at(size_t headless) {
  const size_t reader = headless_[headless];
  std::optional<LogBatch> batch = readers_[reader]->next();
  if (!batch) return false;
  headless_[headless] = headless_.back();
  headless_.pop_back();
  heads_.push_back({reader, std::move(*batch)});
  std::push_heap(heads_.begin(), heads_.end(), is_later);
  return true;
}

Fetcher::Fetched Fetcher::take_first() {
  std::pop_heap(heads_.begin(), heads_.end(), is_later);
  Fetched first = std::move(heads_.back());
  heads_.pop_back();
  headless_.push_back(first.reader);
  return first;
}

std::vector<Fetcher::Fetched> Fetcher::fetch(size_t max_batches) {
  for (size_t i = 0; i < headless_.size();) {
    if (!look_at(i)) ++i;
  }
  std::vector<Fetched> fetched;
  while (!heads_.empty() && fetched.size() < max_batches) {
    fetched.push_back(take_first());
    if (fetched.size() == max_batches) break;
    try {
      look_at(headless_.size() - 1);
    } catch (const Error&) {
      break;  // the next fetch looks there first
    }
  }
  return fetched;
}

}  // namespace pystream::storage
