#pragma once
// What a WindowAggregation is made of. Internal to it: its work is in window_aggregation.cpp, its
// snapshots are in window_aggregation_snapshot.cpp.

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "state/key_dictionary.hpp"
#include "state/snapshot.hpp"
#include "windows/accumulator_layout.hpp"
#include "windows/event_times.hpp"
#include "windows/fired_windows.hpp"
#include "windows/pane_buffer.hpp"
#include "windows/partial_state.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/slicing.hpp"
#include "windows/sliding_merge.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

// How a window comes about. Rows are added to per-thread tables of open slices (PartialState). When
// the watermark closes the first window of a slice, the threads' tables of that slice are merged:
// the slice is sealed, and no row can come to it any more that counts for all its windows. A
// tumbling window is its one slice; hopping windows are merged from sealed slices (SlidingMerge).
//
// advance() runs behind the rows: it is called after a round of batches, while lateness is decided
// row by row. So a row may come to a slice whose first windows have logically fired while the slice
// is still open here; such rows are kept apart, marked with the first window that takes them, and
// join when that window fires.
//
// With allowed lateness such a row has to be seen at its place in the order of arrival, for it
// fires panes. So it is not added, but comes back through add_behind() after the round: by then all
// rows that arrived before it have been added, and those that arrived after it and count in the
// same window come back too. Windows then fire row by row, as far as the row's watermark has closed
// them, and stay (FiredWindows) until they take no more rows.
struct WindowAggregation::State {
  // Throws as WindowAggregation does.
  State(const WindowAggregationSpec& given, SchemaPtr input_schema, int threads);

  bool is_merging() const { return merged_keys.has_value(); }
  bool keeps_fired() const { return spec.allowed_lateness > 0; }
  // The dictionary that sealed slices and results use: with one thread, that thread's.
  state::KeyDictionary& keys() { return is_merging() ? *merged_keys : partials.front().keys(); }

  void merge_keys();
  void merge_into(std::optional<AccumulatorTable>* target, size_t thread, AccumulatorTable&& table);
  std::optional<AccumulatorTable> seal(int64_t slice);
  void take_late(int64_t window);
  std::optional<int64_t> next_window() const;
  void fire(int64_t window, const EmitWindow& emit);
  bool fire_until(int64_t new_watermark, const EmitWindow& emit);
  void add_one(const RecordBatch& rows, const RowRange& row, const uint32_t* ids);
  void note_density(int64_t slice_keys) {
    expects_dense = AccumulatorTable::is_worth_dense(slice_keys, keys().size());
  }
  // The tables of merged ids.
  template <typename Visit>
  void for_each_merged(Visit visit) {
    sealed.for_each_table(visit);
    fired.for_each_table(visit);
  }
  void compact_keys();
  static bool is_mostly_dead(std::span<const uint8_t> live, int64_t* look_at);
  void compact_partial(size_t thread);
  void compact_merged();

  // In window_aggregation_snapshot.cpp.
  std::string describe() const;
  void snapshot(state::StateWriter* writer);
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  // Configuration.
  const WindowAggregationSpec spec;
  const SchemaPtr input;
  const DataType time_type;
  const Slicing slicing;
  const AccumulatorLayout layout;
  WindowResults results;

  // State that is checkpointed.
  int64_t watermark = kMinWatermark;
  int64_t first_unfired = INT64_MIN;                // windows before it have fired
  std::deque<PartialState> partials;                // by thread
  std::optional<state::KeyDictionary> merged_keys;  // several threads only
  SlidingMerge sealed;
  FiredWindows fired;  // with allowed lateness only

  // State that is rebuilt.
  std::vector<std::vector<uint32_t>> merged_ids;    // by thread: its key ids to merged ones
  bool expects_dense = false;                       // as the last sealed slice was
  std::vector<int64_t> partial_look_at;             // by thread: keys that ask for compaction ...
  int64_t merged_look_at = state::kCompactMinKeys;  // ... and of the merged dictionary
  RowAccumulator accumulator;
  PaneBuffer panes;
};

}  // namespace pystream::windows
