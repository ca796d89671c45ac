#pragma once
// What one thread has accumulated since slices were last sealed.
//
// Owned by the operator; between two calls of advance() used by one thread, during advance() by the
// caller of that. Snapshotable: keys and tables.

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "columns/record_batch.hpp"
#include "state/key_dictionary.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/event_times.hpp"
#include "windows/route_rows.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/slicing.hpp"

namespace pystream::windows {

class PartialState {
 public:
  PartialState(const WindowAggregationSpec* spec, const Schema& input, const Slicing* slicing,
               const AccumulatorLayout* layout, bool notes_arrivals);

  // The event times of a batch as int64, checked; valid until the next call. Throws kOperator when
  // one is null or has windows that its type cannot hold.
  struct Times {
    const int64_t* values;
    TimeRange range;
  };
  Times times_of(const RecordBatch& rows);
  std::vector<const Array*> keys_of(const RecordBatch& rows) const;

  // Adds a batch; see WindowAggregation::add(). `watermark`: of the last advance(). New slices
  // start dense when `expects_dense`. On an error nothing has been added.
  void add(const RecordBatch& rows, const RowWatermarks& watermarks, int64_t watermark,
           bool expects_dense, std::vector<int32_t>* late, std::vector<int32_t>* behind);

  state::KeyDictionary& keys() { return keys_; }
  const state::KeyDictionary& keys() const { return keys_; }

  // If asked to note it: the number of the first row of each key, by key id; ascending but for id
  // 0.
  const std::vector<int64_t>& first_arrivals() const { return first_arrivals_; }

  // Open slices by number, and rows that were late for some windows of their slice, by the first
  // window that takes them and slice.
  std::map<int64_t, AccumulatorTable>& slices() { return slices_; }
  const std::map<int64_t, AccumulatorTable>& slices() const { return slices_; }
  std::map<std::pair<int64_t, int64_t>, AccumulatorTable>& late_slices() { return late_slices_; }
  const std::map<std::pair<int64_t, int64_t>, AccumulatorTable>& late_slices() const {
    return late_slices_;
  }

  // See SideState::settle().
  void settle() const {
    for (const auto& [slice, table] : slices_) table.settle();
    for (const auto& [place, table] : late_slices_) table.settle();
  }

  // Its keys are restored ones, which came before all that will come, in the order of their ids.
  void note_restored();

  // Takes back the block of a table that is done with, for the next slice.
  void reuse(state::LargeArray<uint8_t> storage) {
    if (storage.bytes() > spare_.bytes()) spare_ = std::move(storage);
  }

  // Forgets keys that are in no table, given the live byte of each id; tables follow. Returns the
  // new id of each old one.
  std::vector<uint32_t> compact(std::span<const uint8_t> live);

  int64_t bytes() const;

 private:
  void note_arrivals(int64_t count, int64_t first_arrival);
  TimeRange check_times(const int64_t* times, int64_t count) const;
  AccumulatorTable* table_for(const Route& route);

  // Configuration.
  const WindowAggregationSpec* spec_;
  const Slicing* slicing_;
  const AccumulatorLayout* layout_;
  const bool notes_arrivals_;

  // State that is checkpointed.
  state::KeyDictionary keys_;
  std::vector<int64_t> first_arrivals_ = {0};
  std::map<int64_t, AccumulatorTable> slices_;
  std::map<std::pair<int64_t, int64_t>, AccumulatorTable> late_slices_;

  // Scratch.
  EventTimes times_;
  RowRouter router_;
  RowAccumulator accumulator_;
  std::vector<uint32_t> ids_;
  std::vector<int64_t> clamped_;
  state::LargeArray<uint8_t> spare_;  // for the next slice
};

}  // namespace pystream::windows
