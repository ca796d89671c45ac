#include "windows/pane_buffer.hpp"

#include <algorithm>
#include <utility>

namespace pystream::windows {

namespace {
constexpr size_t kFirstRows = 64;
}  // namespace

void PaneBuffer::add(const AccumulatorTable& table, uint32_t slot, const Place& place) {
  const auto pane = static_cast<uint32_t>(keys_.size());
  prepare(pane + size_t{1});
  has_failed_ |= !table_.show_slots(table, &pane, &slot, 1);
  slots_.push_back(pane);
  keys_.push_back(place.key);
  starts_.push_back(place.start);
  ends_.push_back(place.end);
  watermarks_.push_back(place.watermark);
}

void PaneBuffer::add_all(const AccumulatorTable& table, std::span<const uint32_t> slots,
                         const uint64_t* keys, const Place& place) {
  const size_t first = keys_.size();
  const size_t count = slots.size();
  const size_t past = first + count;
  prepare(past);
  for (size_t pane = first; pane < past; ++pane) {
    slots_.push_back(static_cast<uint32_t>(pane));
    keys_.push_back(static_cast<uint32_t>(keys[slots[pane - first]]));
  }
  has_failed_ |=
      !table_.show_slots(table, slots_.data() + first, slots.data(), static_cast<int64_t>(count));
  starts_.resize(past, place.start);
  ends_.resize(past, place.end);
  watermarks_.resize(past, place.watermark);
}

// Rows are made by the block: one by one they would cost as much as what is copied into them.
void PaneBuffer::prepare(size_t panes) {
  if (panes <= prepared_) return;
  prepared_ = std::max({panes, 2 * prepared_, kFirstRows});
  table_.prepare(static_cast<uint32_t>(prepared_), true);
}

void PaneBuffer::flush(const WindowResults& results, const state::KeyDictionary& keys,
                       const EmitPanes& emit) {
  if (keys_.empty()) return;
  RecordBatch batch = results.make_batch(table_, keys, {keys_, slots_, starts_, ends_});
  MutableBuffer watermarks;
  watermarks.append(watermarks_.data(),
                    static_cast<int64_t>(watermarks_.size() * sizeof(watermarks_[0])));
  table_ = AccumulatorTable(layout_, std::move(table_).take_storage());
  has_failed_ = false;
  prepared_ = 0;
  slots_.clear();
  keys_.clear();
  starts_.clear();
  ends_.clear();
  watermarks_.clear();
  emit(std::move(batch), watermarks.freeze());
}

int64_t PaneBuffer::bytes() const {
  return table_.bytes() + static_cast<int64_t>((slots_.capacity() + keys_.capacity()) * 4 +
                                               starts_.capacity() * 3 * 8);
}

}  // namespace pystream::windows
