#include "state/word_table.hpp"

#include <cstddef>

#include "base/error.hpp"
#include "base/hash.hpp"

#include "state/limits.hpp"

namespace pystream::state {

namespace {
constexpr int kInitialBits = 6;
// Looking ahead pays once slots no longer stay in the second-level cache.
constexpr int64_t kPrefetchBytes = int64_t{1} << 20;
constexpr int64_t kPrefetchDistance = 24;
}  // namespace

WordTable::WordTable() {
  keys_.push_back(0);
  rehash(kInitialBits);
}

void WordTable::find_or_insert(const uint64_t* keys, int64_t count, uint32_t* ids) {
  if (slots_.bytes() >= kPrefetchBytes) {
    find_or_insert_loop<true>(keys, count, ids);
  } else {
    find_or_insert_loop<false>(keys, count, ids);
  }
}

template <bool kPrefetch>
void WordTable::find_or_insert_loop(const uint64_t* keys, int64_t count, uint32_t* ids) {
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
    ids[i] = id != kEmpty ? static_cast<uint32_t>(id) : insert(key);
  }
}

uint32_t WordTable::insert(uint64_t key) {
  if (keys_.size() > kMaxKeys) {
    throw Error(ErrorCode::kOperator, "one operator holds more than " + std::to_string(kMaxKeys) +
                                          " distinct keys. Use fewer key columns or coarser keys.");
  }
  const uint32_t id = size();
  keys_.push_back(key);
  if (keys_.size() * 2 > slots_.size()) {
    rehash(64 - shift_ + 1);  // places the new key too
  } else {
    place(key, id);
  }
  return id;
}

void WordTable::place(uint64_t key, uint64_t id) {
  const int64_t mask = slots_.size() - 1;
  int64_t at = static_cast<int64_t>(hash_u64(key) >> shift_);
  while (slots_[at].id != kEmpty) at = (at + 1) & mask;
  slots_[at] = {key, id};
}

void WordTable::rehash(int bits) {
  LargeArray<Slot> slots(int64_t{1} << bits);
  for (int64_t i = 0; i < slots.size(); ++i) slots[i] = {0, kEmpty};
  slots_ = std::move(slots);
  shift_ = 64 - bits;
  for (int64_t id = 1; id < keys_.size(); ++id) place(keys_[id], static_cast<uint64_t>(id));
}

void WordTable::assign(std::span<const uint64_t> keys) {
  LargeArray<uint64_t> kept;
  kept.resize(static_cast<int64_t>(keys.size()) + 1);
  kept[0] = 0;
  for (size_t i = 0; i < keys.size(); ++i) kept[static_cast<int64_t>(i) + 1] = keys[i];
  keys_ = std::move(kept);
  int bits = kInitialBits;
  while ((int64_t{1} << bits) < 2 * keys_.size()) ++bits;
  rehash(bits);
}

}  // namespace pystream::state
