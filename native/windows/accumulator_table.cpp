#include "windows/accumulator_table.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <numeric>
#include <utility>

#include "state/limits.hpp"
#include "windows/accumulator_values.hpp"

namespace pystream::windows {

namespace {

using state::kNoId;

constexpr int kInitialBits = 6;
// Up to so many keys a dense table is always small enough.
constexpr uint32_t kAlwaysDense = 4096;
// A table is dense when it holds at least this part of all keys.
constexpr int64_t kDensePart = 8;
// A table that rests is made sparse when it holds less than this part of its rows.
constexpr int64_t kCompressPart = 4;
// Rows beyond this size do not stay in the second-level cache.
constexpr int64_t kLargeBytes = int64_t{1} << 20;
constexpr int64_t kBlockRows = 1024;

uint32_t hash_id(uint32_t id) { return id * 0x9E3779B1u; }

// By the digits of the ids, from the last to the first.
void sort_by_id(AccumulatorTable::Places* places) {
  constexpr int kBits = 11;
  const int64_t count = places->ids.size();
  if (count == 0 || std::is_sorted(places->ids.data(), places->ids.data() + count)) return;
  const uint32_t highest = *std::max_element(places->ids.data(), places->ids.data() + count);
  AccumulatorTable::Places sorted;
  sorted.ids.resize(count);
  sorted.slots.resize(count);
  for (int shift = 0; shift < 32 && highest >> shift != 0; shift += kBits) {
    const auto digit = [&](int64_t i) { return places->ids[i] >> shift & ((1u << kBits) - 1); };
    std::array<int64_t, (size_t{1} << kBits) + 1> begins{};
    for (int64_t i = 0; i < count; ++i) ++begins[digit(i) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = begins[digit(i)]++;
      sorted.ids[at] = places->ids[i];
      sorted.slots[at] = places->slots[i];
    }
    std::swap(*places, sorted);
  }
}

}  // namespace

AccumulatorTable::AccumulatorTable(const AccumulatorLayout* layout,
                                   state::LargeArray<uint8_t> storage)
    : layout_(layout),
      rows_(std::move(storage)),
      nulls_(layout->inputs.size()),
      nans_(layout->inputs.size()) {
  rows_.clear();
  for (const SideLayout& side : layout->sides) {
    sides_.emplace_back(make_side(side, layout->inputs[static_cast<size_t>(side.input)]));
  }
}

void AccumulatorTable::prepare(uint32_t universe, bool expects_dense) {
  if (!is_started_) {
    is_started_ = true;
    is_dense_ = expects_dense || universe <= kAlwaysDense;
  }
  if (is_dense_) {
    if (slot_count() < universe) add_rows(universe - slot_count());
  } else if (is_worth_dense(static_cast<int64_t>(ids_.size()), universe)) {
    densify(universe);
  }
}

const uint32_t* AccumulatorTable::slots(const uint32_t* ids, int64_t count, uint32_t* scratch) {
  if (is_dense_) return ids;
  if (table_.size() == 0) index();
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t id = ids[i];
    const int64_t mask = table_.size() - 1;
    int64_t at = hash_id(id) >> shift_;
    while (table_[at].id != id && table_[at].id != kNoId) at = (at + 1) & mask;
    scratch[i] = table_[at].id == id ? table_[at].slot : insert(id);
  }
  return scratch;
}

RowBlock AccumulatorTable::rows() const {
  // The block is handed to kernels that write; a const table is only read through it.
  return {const_cast<uint8_t*>(rows_.data()), layout_->stride, rows_.size() > kLargeBytes};
}

int64_t AccumulatorTable::value_count(int input, uint32_t slot) const {
  const int64_t* null_counts = nulls(input);
  return load<int64_t>(rows().at(slot)) - (null_counts == nullptr ? 0 : null_counts[slot]);
}

void AccumulatorTable::add_rows(int64_t count) {
  const int64_t stride = layout_->stride;
  const int64_t begin = rows_.size();
  const int64_t bytes = count * stride;
  rows_.resize(begin + bytes);
  uint8_t* fresh = rows_.data() + begin;
  if (count == 0) return;
  std::memcpy(fresh, layout_->empty_row.data(), static_cast<size_t>(stride));
  // Copying blocks of rows that fit the first-level cache is as fast as clearing memory.
  for (int64_t done = stride; done < bytes;) {
    const int64_t step = std::min({done, bytes - done, int64_t{8192} / stride * stride + stride});
    std::memcpy(fresh + done, fresh, static_cast<size_t>(step));
    done += step;
  }
  const auto slots = static_cast<size_t>(slot_count());
  for (std::vector<int64_t>& counts : nulls_) {
    if (!counts.empty()) counts.resize(slots);
  }
  for (std::vector<int64_t>& counts : nans_) {
    if (!counts.empty()) counts.resize(slots);
  }
  for (Side& side : sides_) side->resize(slot_count());
}

uint32_t AccumulatorTable::insert(uint32_t id) {
  const auto slot = static_cast<uint32_t>(ids_.size());
  ids_.push_back(id);
  add_rows(1);
  if (static_cast<int64_t>(ids_.size()) * 2 > table_.size()) {
    rehash(32 - shift_ + 1);
    return slot;
  }
  const int64_t mask = table_.size() - 1;
  int64_t at = hash_id(id) >> shift_;
  while (table_[at].id != kNoId) at = (at + 1) & mask;
  table_[at] = {id, slot};
  return slot;
}

void AccumulatorTable::rehash(int bits) {
  state::LargeArray<Slot> table(int64_t{1} << bits);
  for (int64_t i = 0; i < table.size(); ++i) table[i] = {kNoId, 0};
  const int64_t mask = table.size() - 1;
  shift_ = 32 - bits;
  for (uint32_t slot = 0; slot < ids_.size(); ++slot) {
    int64_t at = hash_id(ids_[slot]) >> shift_;
    while (table[at].id != kNoId) at = (at + 1) & mask;
    table[at] = {ids_[slot], slot};
  }
  table_ = std::move(table);
}

void AccumulatorTable::index() {
  int bits = kInitialBits;
  while ((int64_t{1} << bits) < 2 * static_cast<int64_t>(ids_.size())) ++bits;
  rehash(bits);
}

int64_t AccumulatorTable::compress(state::LargeArray<uint8_t>* freed) {
  const int64_t keys = key_count();
  if (!is_dense_ || slot_count() <= kAlwaysDense || keys * kCompressPart > slot_count()) {
    return keys;
  }
  AccumulatorTable sparse(layout_);
  sparse.is_started_ = true;
  sparse.add_rows(keys);
  sparse.ids_.reserve(static_cast<size_t>(keys));
  SlotPairs pairs;
  for_each_block([&](uint32_t* ids, const uint32_t* slots, int64_t count) {
    uint32_t sparse_slots[kBlockRows];
    std::iota(sparse_slots, sparse_slots + count, static_cast<uint32_t>(sparse.ids_.size()));
    sparse.ids_.insert(sparse.ids_.end(), ids, ids + count);
    sparse.merge_block(*this, sparse_slots, slots, count, &pairs);
  });
  sparse.merge_sides(*this, pairs, Source::kIsForgotten);
  std::swap(*this, sparse);
  *freed = std::move(sparse.rows_);
  return keys;
}

void AccumulatorTable::densify(uint32_t universe) {
  AccumulatorTable dense(layout_);
  dense.prepare(universe, true);
  dense.merge_all(*this, nullptr, universe, Source::kIsForgotten);
  *this = std::move(dense);
}

void AccumulatorTable::merge(const AccumulatorTable& other, const uint32_t* new_ids,
                             uint32_t universe) {
  merge_all(other, new_ids, universe, Source::kStays);
}

void AccumulatorTable::merge_all(const AccumulatorTable& other, const uint32_t* new_ids,
                                 uint32_t universe, Source source) {
  prepare(universe,
          other.is_dense_ || is_worth_dense(static_cast<int64_t>(other.ids_.size()), universe));
  SlotPairs pairs;
  other.for_each_block([&](uint32_t* ids, const uint32_t* other_slots, int64_t count) {
    if (new_ids != nullptr) {
      for (int64_t i = 0; i < count; ++i) ids[i] = new_ids[ids[i]];
    }
    uint32_t scratch[kBlockRows];
    merge_block(other, slots(ids, count, scratch), other_slots, count, &pairs);
  });
  merge_sides(other, pairs, source);
}

// Merges the rows of `other` at other_slots into mine at `slots`, one for one. merge_sides() is to
// be called with all `pairs`.
void AccumulatorTable::merge_block(const AccumulatorTable& other, const uint32_t* slots,
                                   const uint32_t* other_slots, int64_t count, SlotPairs* pairs) {
  merge_beside(other, slots, other_slots, count);
  merge_rows(*layout_, rows(), slots, other.rows(), other_slots, count);
  if (!sides_.empty()) pairs->append(slots, other_slots, count);
}

void AccumulatorTable::merge_sides(const AccumulatorTable& other, const SlotPairs& pairs,
                                   Source source) {
  const auto count = static_cast<int64_t>(pairs.slots.size());
  for (size_t i = 0; i < sides_.size(); ++i) {
    const SideState& from = *other.sides_[i];
    if (source == Source::kIsForgotten) {
      sides_[i]->take_over(from, pairs.slots.data(), pairs.other_slots.data(), count);
    } else {
      sides_[i]->merge(from, pairs.slots.data(), pairs.other_slots.data(), count);
    }
  }
}

void AccumulatorTable::merge_slots(const AccumulatorTable& other, const uint32_t* slots,
                                   const uint32_t* other_slots, int64_t count) {
  SlotPairs pairs;
  merge_block(other, slots, other_slots, count, &pairs);
  merge_sides(other, pairs, Source::kStays);
}

bool AccumulatorTable::show_slots(const AccumulatorTable& other, const uint32_t* slots,
                                  const uint32_t* other_slots, int64_t count) {
  merge_beside(other, slots, other_slots, count);
  const RowBlock to = rows();
  const RowBlock from = other.rows();
  const auto stride = static_cast<size_t>(layout_->stride);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to.at(slots[i]), from.at(other_slots[i]), stride);
  }
  bool is_shown = true;
  for (size_t i = 0; i < sides_.size(); ++i) {
    is_shown &= sides_[i]->show(*other.sides_[i], slots, other_slots, count);
  }
  return is_shown;
}

void AccumulatorTable::merge_rows_in_order(std::span<const uint32_t> targets,
                                           std::span<const uint32_t> sources) {
  assert(sides_.empty());
  const auto count = static_cast<int64_t>(targets.size());
  merge_beside(*this, targets.data(), sources.data(), count);
  merge_rows(*layout_, rows(), targets.data(), rows(), sources.data(), count);
}

void AccumulatorTable::clear_rows(std::span<const uint32_t> slots) {
  const RowBlock block = rows();
  const auto stride = static_cast<size_t>(layout_->stride);
  for (const uint32_t slot : slots) {
    std::memcpy(block.at(slot), layout_->empty_row.data(), stride);
  }
  for (std::vector<int64_t>& counts : nulls_) {
    for (const uint32_t slot : slots) {
      if (!counts.empty()) counts[slot] = 0;
    }
  }
  for (std::vector<int64_t>& counts : nans_) {
    for (const uint32_t slot : slots) {
      if (!counts.empty()) counts[slot] = 0;
    }
  }
  for (Side& side : sides_) {
    for (const uint32_t slot : slots) side->clear(slot);
  }
}

// Calls visit(ids, slots, count) with the ids that have rows and their slots, block by block; the
// visitor may change the ids it is given.
template <typename Visit>
void AccumulatorTable::for_each_block(Visit visit) const {
  const RowBlock block = rows();
  const int64_t total = slot_count();
  uint32_t ids[kBlockRows];
  uint32_t slots[kBlockRows];
  for (int64_t begin = 0; begin < total; begin += kBlockRows) {
    const int64_t end = std::min(begin + kBlockRows, total);
    // Written without branches: whether a key is present is as good as random.
    int64_t found = 0;
    for (int64_t slot = begin; slot < end; ++slot) {
      slots[found] = static_cast<uint32_t>(slot);
      found += load<int64_t>(block.at(slot)) != 0;
    }
    for (int64_t i = 0; i < found; ++i) ids[i] = is_dense_ ? slots[i] : ids_[slots[i]];
    if (found > 0) visit(ids, slots, found);
  }
}

void AccumulatorTable::merge_beside(const AccumulatorTable& other, const uint32_t* slots,
                                    const uint32_t* other_slots, int64_t count) {
  for (int input = 0; input < static_cast<int>(layout_->inputs.size()); ++input) {
    if (const int64_t* theirs = other.nulls(input)) {
      int64_t* counts = add_nulls(input);
      for (int64_t i = 0; i < count; ++i) counts[slots[i]] += theirs[other_slots[i]];
    }
    if (const int64_t* theirs = other.nans(input)) {
      int64_t* counts = add_nans(input);
      for (int64_t i = 0; i < count; ++i) counts[slots[i]] += theirs[other_slots[i]];
    }
  }
}

void AccumulatorTable::collect(Places* places) const {
  places->ids.clear();
  places->slots.clear();
  for_each_block([&](const uint32_t* ids, const uint32_t* slots, int64_t count) {
    places->ids.append(ids, count);
    places->slots.append(slots, count);
  });
  if (!is_dense_) sort_by_id(places);
}

int64_t AccumulatorTable::key_count() const {
  if (!is_dense_) return static_cast<int64_t>(ids_.size());
  const RowBlock block = rows();
  int64_t count = 0;
  for (int64_t slot = 0; slot < slot_count(); ++slot) {
    count += load<int64_t>(block.at(slot)) != 0;
  }
  return count;
}

void AccumulatorTable::mark(std::vector<uint8_t>* live) const {
  for_each_block([&](const uint32_t* ids, const uint32_t*, int64_t count) {
    for (int64_t i = 0; i < count; ++i) (*live)[ids[i]] = 1;
  });
}

bool AccumulatorTable::is_worth_dense(int64_t key_count, uint32_t universe) {
  return key_count * kDensePart > universe;
}

void AccumulatorTable::remap(std::span<const uint32_t> new_ids) {
  if (!is_started_) return;
  if (!is_dense_) {
    for (uint32_t& id : ids_) id = new_ids[id];
    table_ = {};
    return;
  }
  uint32_t universe = 1;
  for (const uint32_t id : new_ids) {
    if (id != kNoId) universe = std::max(universe, id + 1);
  }
  AccumulatorTable kept(layout_);
  kept.prepare(universe, true);
  kept.merge_all(*this, new_ids.data(), universe, Source::kIsForgotten);
  *this = std::move(kept);
}

int64_t* AccumulatorTable::side(std::vector<int64_t>* counts) {
  if (counts->empty()) counts->resize(static_cast<size_t>(slot_count()));
  return counts->data();
}

int64_t AccumulatorTable::bytes() const {
  int64_t total =
      rows_.bytes() + table_.bytes() + static_cast<int64_t>(ids_.capacity() * sizeof(uint32_t));
  for (const auto& counts : nulls_) total += static_cast<int64_t>(counts.capacity() * 8);
  for (const auto& counts : nans_) total += static_cast<int64_t>(counts.capacity() * 8);
  for (const Side& side : sides_) total += side->bytes();
  return total;
}

}  // namespace pystream::windows
