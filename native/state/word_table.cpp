#include "state/word_table.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "state/limits.hpp"

namespace pystream::state {

namespace {

constexpr int kInitialBits = 6;
// Keys are indexed by range while they fill this part of it, which takes little more memory than
// hashing them does, and in any case while the range is small.
constexpr uint64_t kRangePerKey = 4;
constexpr uint64_t kSmallRange = 4096;
// Looking ahead pays once the index no longer stays in the second-level cache.
constexpr int64_t kPrefetchBytes = int64_t{1} << 20;
constexpr int64_t kPrefetchDistance = 24;

// The order of signed numbers, so that -1 and 0 are neighbours.
uint64_t ordered(uint64_t key) { return key ^ (uint64_t{1} << 63); }

}  // namespace

WordTable::WordTable() {
  keys_.push_back(0);
  index();
}

void WordTable::find_or_insert(const uint64_t* keys, int64_t count, uint32_t* ids) {
  const bool is_large = range_.bytes() + slots_.bytes() >= kPrefetchBytes;
  if (is_range_) {
    is_large ? find_or_insert_range<true>(keys, count, ids)
             : find_or_insert_range<false>(keys, count, ids);
  } else {
    is_large ? find_or_insert_hashed<true>(keys, count, ids)
             : find_or_insert_hashed<false>(keys, count, ids);
  }
}

template <bool kPrefetch>
void WordTable::find_or_insert_range(const uint64_t* keys, int64_t count, uint32_t* ids) {
  for (int64_t i = 0; i < count; ++i) {
    const auto size = static_cast<uint64_t>(range_.size());
    if constexpr (kPrefetch) {
      const int64_t ahead = i + kPrefetchDistance < count ? i + kPrefetchDistance : i;
      const uint64_t at = keys[ahead] - base_;
      __builtin_prefetch(&range_[static_cast<int64_t>(at < size ? at : 0)]);
    }
    const uint64_t at = keys[i] - base_;
    const uint32_t id = at < size ? range_[static_cast<int64_t>(at)] : kNoId;
    if (id != kNoId) {
      ids[i] = id;
      continue;
    }
    ids[i] = insert(keys[i]);
    if (!is_range_) {
      find_or_insert_hashed<kPrefetch>(keys + i + 1, count - i - 1, ids + i + 1);
      return;
    }
  }
}

template <bool kPrefetch>
void WordTable::find_or_insert_hashed(const uint64_t* keys, int64_t count, uint32_t* ids) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (kPrefetch) {
      const int64_t ahead = i + kPrefetchDistance < count ? i + kPrefetchDistance : i;
      __builtin_prefetch(&slots_[static_cast<int64_t>(hash_u64(keys[ahead]) >> shift_)]);
    }
    const uint64_t key = keys[i];
    const int64_t mask = slots_.size() - 1;
    int64_t at = static_cast<int64_t>(hash_u64(key) >> shift_);
    while (slots_[at].key != key && slots_[at].id != kEmpty) at = (at + 1) & mask;
    const uint64_t id = slots_[at].id;
    if (id != kEmpty) {
      ids[i] = static_cast<uint32_t>(id);
      continue;
    }
    ids[i] = insert(key);
    if (is_range_) {
      find_or_insert_range<kPrefetch>(keys + i + 1, count - i - 1, ids + i + 1);
      return;
    }
  }
}

uint32_t WordTable::insert(uint64_t key) {
  if (keys_.size() > kMaxKeys) {
    throw Error(ErrorCode::kOperator, "one operator holds more than " + std::to_string(kMaxKeys) +
                                          " distinct keys. Use fewer key columns or coarser keys.");
  }
  const uint32_t id = size();
  keys_.push_back(key);
  lowest_ = std::min(lowest_, ordered(key));
  highest_ = std::max(highest_, ordered(key));
  if (is_range_) {
    const uint64_t at = key - base_;
    if (at < static_cast<uint64_t>(range_.size())) {
      range_[static_cast<int64_t>(at)] = id;
    } else {
      index();
    }
  } else if (keys_.size() * 2 > slots_.size()) {
    index();
  } else {
    place(key, id);
  }
  return id;
}

// Builds the index anew in the form that suits the keys. Called when it has to grow: each time for
// at least twice the range, or twice the slots.
void WordTable::index() {
  const auto keys = static_cast<uint64_t>(keys_.size());
  const uint64_t last = keys == 1 ? 0 : highest_ - lowest_;  // the range has one more key
  is_range_ = last < std::max(kSmallRange, keys * kRangePerKey);
  is_range_ ? index_range() : index_hashed();
}

void WordTable::index_range() {
  const bool has_keys = keys_.size() > 1;
  const uint64_t lowest = has_keys ? ordered(lowest_) : 0;
  const uint64_t span = has_keys ? highest_ - lowest_ + 1 : 1;
  // As much room again, half of it on each side: the next time, the span has grown by a good part.
  const uint64_t size = std::bit_ceil(std::max(kSmallRange, 2 * span));
  base_ = lowest - (size - span) / 2;
  slots_ = {};
  range_ = {};  // its block too: a burst of keys is forgotten
  range_.resize(static_cast<int64_t>(size));
  std::fill_n(range_.data(), range_.size(), kNoId);
  for (int64_t id = 1; id < keys_.size(); ++id) {
    range_[static_cast<int64_t>(keys_[id] - base_)] = static_cast<uint32_t>(id);
  }
}

void WordTable::index_hashed() {
  int bits = kInitialBits;
  while ((int64_t{1} << bits) < 2 * keys_.size()) ++bits;
  range_ = {};
  slots_ = {};
  slots_.resize(int64_t{1} << bits);
  for (int64_t i = 0; i < slots_.size(); ++i) slots_[i] = {0, kEmpty};
  shift_ = 64 - bits;
  for (int64_t id = 1; id < keys_.size(); ++id) place(keys_[id], static_cast<uint64_t>(id));
}

void WordTable::place(uint64_t key, uint64_t id) {
  const int64_t mask = slots_.size() - 1;
  int64_t at = static_cast<int64_t>(hash_u64(key) >> shift_);
  while (slots_[at].id != kEmpty) at = (at + 1) & mask;
  slots_[at] = {key, id};
}

void WordTable::assign(std::span<const uint64_t> keys) {
  LargeArray<uint64_t> kept;
  kept.push_back(0);
  lowest_ = UINT64_MAX;
  highest_ = 0;
  for (const uint64_t key : keys) {
    kept.push_back(key);
    lowest_ = std::min(lowest_, ordered(key));
    highest_ = std::max(highest_, ordered(key));
  }
  keys_ = std::move(kept);
  index();
}

}  // namespace pystream::state
