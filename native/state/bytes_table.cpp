#include "state/bytes_table.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"

#include "state/limits.hpp"

namespace pystream::state {

namespace {
constexpr int kInitialBits = 6;
constexpr int kMaxBits = 32;  // the index is taken from a 32-bit hash
constexpr int64_t kPrefetchDistance = 16;
}  // namespace

BytesTable::BytesTable() {
  ends_.push_back(0);
  hashes_.push_back(0);
  rehash(kInitialBits);
}

void BytesTable::find_or_insert(std::span<const std::string_view> strings, uint32_t* ids) {
  const auto count = static_cast<int64_t>(strings.size());
  pending_.resize(count);
  for (int64_t i = 0; i < count; ++i) {
    const std::string_view string = strings[static_cast<size_t>(i)];
    pending_[i] = static_cast<uint32_t>(hash_bytes(string.data(), string.size()) >> 32);
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t ahead = i + kPrefetchDistance < count ? i + kPrefetchDistance : i;
    __builtin_prefetch(&slots_[static_cast<int64_t>(uint64_t{pending_[ahead]} >> shift_)]);
    const std::string_view string = strings[static_cast<size_t>(i)];
    const uint32_t hash = pending_[i];
    const int64_t mask = slots_.size() - 1;
    auto at = static_cast<int64_t>(uint64_t{hash} >> shift_);
    while (slots_[at].id != kNoId &&
           (slots_[at].hash != hash || (*this)[slots_[at].id] != string)) {
      at = (at + 1) & mask;
    }
    ids[i] = slots_[at].id != kNoId ? slots_[at].id : insert(string, hash);
  }
}

int64_t BytesTable::bytes() const {
  return arena_.bytes() + ends_.bytes() + hashes_.bytes() + slots_.bytes() + pending_.bytes();
}

uint32_t BytesTable::insert(std::string_view string, uint32_t hash) {
  if (ends_.size() > kMaxKeys) {
    throw Error(ErrorCode::kOperator, "one operator holds more than " + std::to_string(kMaxKeys) +
                                          " distinct keys. Use fewer key columns or coarser keys.");
  }
  const uint32_t id = size();
  const int64_t begin = arena_.size();
  arena_.resize(begin + static_cast<int64_t>(string.size()));
  if (!string.empty()) std::memcpy(arena_.data() + begin, string.data(), string.size());
  ends_.push_back(arena_.size());
  hashes_.push_back(hash);
  const int bits = 32 - shift_;
  if (ends_.size() * 2 > slots_.size() && bits < kMaxBits) {
    rehash(bits + 1);  // places the new string too
  } else {
    place(hash, id);
  }
  return id;
}

void BytesTable::place(uint32_t hash, uint32_t id) {
  const int64_t mask = slots_.size() - 1;
  auto at = static_cast<int64_t>(uint64_t{hash} >> shift_);
  while (slots_[at].id != kNoId) at = (at + 1) & mask;
  slots_[at] = {hash, id};
}

void BytesTable::rehash(int bits) {
  LargeArray<Slot> slots(int64_t{1} << bits);
  for (int64_t i = 0; i < slots.size(); ++i) slots[i] = {0, kNoId};
  slots_ = std::move(slots);
  shift_ = 32 - bits;
  for (int64_t id = 1; id < ends_.size(); ++id) place(hashes_[id], static_cast<uint32_t>(id));
}

void BytesTable::keep(std::span<const uint32_t> ids) {
  LargeArray<char> arena;
  LargeArray<int64_t> ends;
  LargeArray<uint32_t> hashes;
  ends.push_back(0);
  hashes.push_back(0);
  for (const uint32_t id : ids) {
    const std::string_view string = (*this)[id];
    const int64_t begin = arena.size();
    arena.resize(begin + static_cast<int64_t>(string.size()));
    if (!string.empty()) std::memcpy(arena.data() + begin, string.data(), string.size());
    ends.push_back(arena.size());
    hashes.push_back(hashes_[id]);
  }
  arena_ = std::move(arena);
  ends_ = std::move(ends);
  hashes_ = std::move(hashes);
  int bits = kInitialBits;
  while (bits < kMaxBits && (int64_t{1} << bits) < 2 * ends_.size()) ++bits;
  rehash(bits);
}

}  // namespace pystream::state
