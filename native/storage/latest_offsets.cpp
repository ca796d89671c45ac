#include "storage/latest_offsets.hpp"

#include <algorithm>
#include <array>

#include "base/xxhash64.hpp"
#include "storage/partitioner.hpp"

namespace pystream::storage {

uint64_t LatestOffsets::hash_of(std::string_view key) { return xxhash64(key); }

size_t LatestOffsets::slot_of(uint64_t hash, std::string_view key) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    if (slots_[i].offset < 0 || is_of(slots_[i], hash, key)) return i;
  }
}

void LatestOffsets::put(uint64_t hash, std::string_view key, int64_t offset) {
  Slot* slot = &slots_[slot_of(hash, key)];
  if (slot->offset >= 0) {
    slot->offset = std::max(slot->offset, offset);
    return;
  }
  if (4 * (used_ + 1) > 3 * slots_.size()) {
    grow();
    slot = &slots_[slot_of(hash, key)];
  }
  const bool is_short = key.size() <= kInlineBytes;
  *slot = {hash, offset, is_short ? inlined(key) : keys_.size(), key.size()};
  if (!is_short) keys_.append(key);
  ++used_;
}

int64_t LatestOffsets::find(uint64_t hash, std::string_view key) const {
  return slots_[slot_of(hash, key)].offset;
}

void LatestOffsets::grow() {
  std::vector<Slot> larger(2 * slots_.size());
  const size_t mask = larger.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.offset < 0) continue;
    size_t i = slot.hash & mask;
    while (larger[i].offset >= 0) i = (i + 1) & mask;
    larger[i] = slot;
  }
  slots_ = std::move(larger);
}

BatchKeys::BatchKeys(const LogBatch& batch, std::span<const int> key_columns) {
  for (const int index : key_columns) {
    columns_.push_back(batch.column(static_cast<uint16_t>(index)));
  }
}

std::string_view BatchKeys::stored_key(int64_t row) const {
  const Array& first = columns_[0];
  return first.is_encoded() ? first.dictionary->view(first.codes()[row]) : first.view(row);
}

void BatchKeys::append_key(int64_t row, std::string* out) const {
  if (columns_.size() == 1) return append_key_bytes(columns_[0], row, out);
  for (const Array& column : columns_) append_key_part(column, row, out);
}

void BatchKeys::visit_keys(
    const LatestOffsets& latest, std::span<const int64_t> rows,
    const std::function<void(int64_t row, uint64_t hash, std::string_view key)>& visit) const {
  constexpr size_t kAhead = 64;
  std::array<uint64_t, kAhead> hashes;
  std::array<std::string_view, kAhead> keys;
  std::string made;  // the keys, unless they are stored; where each begins, and the last ends:
  std::array<size_t, kAhead + 1> begins{};
  for (; !rows.empty(); rows = rows.subspan(std::min(kAhead, rows.size()))) {
    const size_t count = std::min(kAhead, rows.size());
    made.clear();
    for (size_t i = 0; i < count && !is_stored(); ++i) {
      append_key(rows[i], &made);
      begins[i + 1] = made.size();
    }
    for (size_t i = 0; i < count; ++i) {
      const std::string_view all = made;
      keys[i] =
          is_stored() ? stored_key(rows[i]) : all.substr(begins[i], begins[i + 1] - begins[i]);
      hashes[i] = LatestOffsets::hash_of(keys[i]);
      latest.prefetch_slot(hashes[i]);
    }
    for (size_t i = 0; i < count; ++i) latest.prefetch_bytes(hashes[i]);
    for (size_t i = 0; i < count; ++i) visit(rows[i], hashes[i], keys[i]);
  }
}

void BatchKeys::put_into(LatestOffsets* latest, const LogBatch& batch, int64_t begin) {
  const int64_t count = batch.record_count();
  const Array deltas = batch.has_gaps() ? batch.offset_deltas() : Array();
  std::vector<int64_t> rows;
  if (is_encoded()) {  // the last one of each entry
    const int32_t* codes = columns_[0].codes();
    rows.assign(static_cast<size_t>(columns_[0].dictionary->length), -1);
    for (int64_t row = begin; row < count; ++row) {
      if (has_key(row)) rows[static_cast<size_t>(codes[row])] = row;
    }
    std::erase(rows, -1);
  } else {
    for (int64_t row = begin; row < count; ++row) {
      if (has_key(row)) rows.push_back(row);
    }
  }
  visit_keys(*latest, rows, [&](int64_t row, uint64_t hash, std::string_view key) {
    const int64_t delta = batch.has_gaps() ? deltas.data<int32_t>()[row] : row;
    latest->put(hash, key, batch.base_offset() + delta);
  });
}

std::vector<int64_t> BatchKeys::look_up(const LatestOffsets& latest) {
  const int64_t count = columns_[0].length;
  std::vector<int64_t> found(static_cast<size_t>(count), -1);
  std::vector<int64_t> rows;
  // With a dictionary, the first row of each entry that has one.
  std::vector<int64_t> of_entry;
  const int32_t* codes = is_encoded() ? columns_[0].codes() : nullptr;
  if (codes != nullptr) of_entry.resize(static_cast<size_t>(columns_[0].dictionary->length), -1);
  for (int64_t row = 0; row < count; ++row) {
    if (!has_key(row)) continue;
    if (codes != nullptr) {
      int64_t& first = of_entry[static_cast<size_t>(codes[row])];
      if (first >= 0) continue;
      first = row;
    }
    rows.push_back(row);
  }
  visit_keys(latest, rows, [&](int64_t row, uint64_t hash, std::string_view key) {
    found[static_cast<size_t>(row)] = latest.find(hash, key);
  });
  for (int64_t row = 0; codes != nullptr && row < count; ++row) {
    if (!has_key(row)) continue;
    const int64_t first = of_entry[static_cast<size_t>(codes[row])];
    found[static_cast<size_t>(row)] = found[static_cast<size_t>(first)];
  }
  return found;
}

}  // namespace pystream::storage
