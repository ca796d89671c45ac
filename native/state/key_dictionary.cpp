#include "state/key_dictionary.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace pystream::state {

namespace {

uint64_t join(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

// The ids >= 1 that are marked, ascending, and in `remap` their places from 1 on.
std::vector<uint32_t> marked(std::span<const uint8_t> live, std::vector<uint32_t>* remap) {
  std::vector<uint32_t> kept;
  remap->assign(live.size(), kNoId);
  (*remap)[0] = 0;
  for (uint32_t id = 1; id < live.size(); ++id) {
    if (live[id] == 0) continue;
    kept.push_back(id);
    (*remap)[id] = static_cast<uint32_t>(kept.size());
  }
  return kept;
}

}  // namespace

KeyDictionary::KeyDictionary(std::span<const DataType> types) {
  columns_.reserve(types.size());
  for (const DataType& type : types) columns_.emplace_back(type);
  if (types.size() > 1) pairs_.resize(types.size() - 1);
}

void KeyDictionary::find_or_insert(std::span<const Array* const> columns, int64_t rows,
                                   uint32_t* ids) {
  if (columns_.empty()) {
    std::fill(ids, ids + rows, 0u);
    return;
  }
  columns_[0].find_or_insert(*columns[0], ids);
  for (size_t pair = 0; pair < pairs_.size(); ++pair) {
    column_ids_.resize(static_cast<size_t>(rows));
    words_.resize(static_cast<size_t>(rows));
    columns_[pair + 1].find_or_insert(*columns[pair + 1], column_ids_.data());
    for (int64_t i = 0; i < rows; ++i) {
      words_[static_cast<size_t>(i)] = join(ids[i], column_ids_[static_cast<size_t>(i)]);
    }
    pairs_[pair].find_or_insert(words_.data(), rows, ids);
  }
}

uint32_t KeyDictionary::size() const {
  if (columns_.empty()) return 1;
  return pairs_.empty() ? columns_[0].size() : pairs_.back().size();
}

// The ids on both sides of joined ids.
void KeyDictionary::split(uint32_t pair, std::span<const uint32_t> ids, std::vector<uint32_t>* left,
                          std::vector<uint32_t>* right) const {
  const uint64_t* keys = pairs_[pair].keys();
  left->resize(ids.size());
  right->resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    (*left)[i] = static_cast<uint32_t>(keys[ids[i]] >> 32);
    (*right)[i] = static_cast<uint32_t>(keys[ids[i]]);
  }
}

std::vector<Array> KeyDictionary::gather(std::span<const uint32_t> ids) const {
  std::vector<Array> columns(columns_.size());
  if (columns_.empty()) return columns;
  std::vector<uint32_t> joined, left, right;
  for (size_t pair = pairs_.size(); pair-- > 0;) {
    split(static_cast<uint32_t>(pair), ids, &left, &right);
    columns[pair + 1] = columns_[pair + 1].gather(right);
    joined.swap(left);
    ids = joined;
  }
  columns[0] = columns_[0].gather(ids);
  return columns;
}

void KeyDictionary::translate(const KeyDictionary& other, uint32_t begin, uint32_t end,
                              uint32_t* out) {
  if (begin == 0) {
    *out++ = 0;  // null is 0 everywhere
    begin = 1;
  }
  if (begin >= end) return;
  std::vector<uint32_t> ids(end - begin);
  std::iota(ids.begin(), ids.end(), begin);
  const std::vector<Array> keys = other.gather(ids);
  std::vector<const Array*> columns;
  for (const Array& key : keys) columns.push_back(&key);
  find_or_insert(columns, static_cast<int64_t>(ids.size()), out);
}

std::vector<uint32_t> KeyDictionary::compact(std::span<const uint8_t> live) {
  std::vector<uint32_t> result;
  std::vector<uint32_t> kept = marked(live, &result);
  if (columns_.empty()) return result;
  std::vector<uint32_t> left, right, left_remap, right_remap;
  for (size_t pair = pairs_.size(); pair-- > 0;) {
    split(static_cast<uint32_t>(pair), kept, &left, &right);
    const uint32_t left_size = pair == 0 ? columns_[0].size() : pairs_[pair - 1].size();
    std::vector<uint8_t> left_live(left_size), right_live(columns_[pair + 1].size());
    for (const uint32_t id : left) left_live[id] = 1;
    for (const uint32_t id : right) right_live[id] = 1;
    const std::vector<uint32_t> left_kept = marked(left_live, &left_remap);
    columns_[pair + 1].keep(marked(right_live, &right_remap));
    std::vector<uint64_t> words(kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      words[i] = join(left_remap[left[i]], right_remap[right[i]]);
    }
    pairs_[pair].assign(words);
    kept = left_kept;
  }
  columns_[0].keep(kept);
  return result;
}

int64_t KeyDictionary::bytes() const {
  int64_t total = 0;
  for (const ColumnDictionary& column : columns_) total += column.bytes();
  for (const WordTable& pair : pairs_) total += pair.bytes();
  return total;
}

}  // namespace pystream::state
