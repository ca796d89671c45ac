#include "storage/latest_offsets.hpp"

#include <algorithm>

#include "base/xxhash64.hpp"
#include "storage/partitioner.hpp"

namespace pystream::storage {

size_t LatestOffsets::slot_of(uint64_t hash, std::string_view key) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.offset < 0) return i;
    if (slot.hash == hash && std::string_view(keys_).substr(slot.at, slot.size) == key) return i;
  }
}

void LatestOffsets::put(std::string_view key, int64_t offset) {
  const uint64_t hash = xxhash64(key);
  Slot* slot = &slots_[slot_of(hash, key)];
  if (slot->offset >= 0) {
    slot->offset = std::max(slot->offset, offset);
    return;
  }
  if (4 * (used_ + 1) > 3 * slots_.size()) {
    grow();
    slot = &slots_[slot_of(hash, key)];
  }
  *slot = {hash, offset, keys_.size(), key.size()};
  keys_.append(key);
  ++used_;
}

int64_t LatestOffsets::find(std::string_view key) const {
  return slots_[slot_of(xxhash64(key), key)].offset;
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

std::string_view BatchKeys::key(int64_t row) {
  const Array& first = columns_[0];
  if (columns_.size() == 1 && first.type.is_var_binary()) {
    return first.is_encoded() ? first.dictionary->view(first.codes()[row]) : first.view(row);
  }
  scratch_.clear();
  if (columns_.size() == 1) {
    append_key_bytes(first, row, &scratch_);
  } else {
    for (const Array& column : columns_) append_key_part(column, row, &scratch_);
  }
  return scratch_;
}

void BatchKeys::put_into(LatestOffsets* latest, const LogBatch& batch, int64_t begin) {
  const int64_t rows = batch.record_count();
  const Array deltas = batch.has_gaps() ? batch.offset_deltas() : Array();
  const auto offset_of = [&](int64_t row) {
    return batch.base_offset() + (batch.has_gaps() ? deltas.data<int32_t>()[row] : row);
  };
  if (!is_encoded()) {
    for (int64_t row = begin; row < rows; ++row) {
      if (has_key(row)) latest->put(key(row), offset_of(row));
    }
    return;
  }
  const int32_t* codes = columns_[0].codes();
  std::vector<int64_t> last(static_cast<size_t>(columns_[0].dictionary->length), -1);
  for (int64_t row = begin; row < rows; ++row) {
    if (has_key(row)) last[static_cast<size_t>(codes[row])] = row;
  }
  for (const int64_t row : last) {
    if (row >= 0) latest->put(key(row), offset_of(row));
  }
}

std::vector<int64_t> BatchKeys::look_up(const LatestOffsets& latest) {
  const int64_t rows = columns_[0].length;
  std::vector<int64_t> found(static_cast<size_t>(rows), -1);
  if (!is_encoded()) {
    for (int64_t row = 0; row < rows; ++row) {
      if (has_key(row)) found[static_cast<size_t>(row)] = latest.find(key(row));
    }
    return found;
  }
  constexpr int64_t kUnknown = -2;
  const int32_t* codes = columns_[0].codes();
  std::vector<int64_t> of_entry(static_cast<size_t>(columns_[0].dictionary->length), kUnknown);
  for (int64_t row = 0; row < rows; ++row) {
    if (!has_key(row)) continue;
    int64_t& known = of_entry[static_cast<size_t>(codes[row])];
    if (known == kUnknown) known = latest.find(key(row));
    found[static_cast<size_t>(row)] = known;
  }
  return found;
}

}  // namespace pystream::storage
