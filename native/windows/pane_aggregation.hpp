#pragma once
// Windows with triggers, pane by pane: Flink's WindowOperator, with one row of accumulators for
// each key in each of its windows. Semantics: docs/semantics.md.
//
// Sessions, windows of counted records and windows without end, when they fire other than on close;
// windows of any kind with a trigger of the caller's own. (Windows of a fixed size with the other
// triggers are TriggeredAggregation's, which has the keys of a window in columns.) A record is
// judged by a trigger as it comes; what the records add up to is computed in runs, as long as
// nothing asks for it.
//
// Owned by one operator; one thread at a time, rows in append order, so that what comes out depends
// on the rows and their watermarks alone. Snapshotable: keys, panes, the table, and what the
// trigger knows of panes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/stop_signal.hpp"
#include "state/key_dictionary.hpp"
#include "state/snapshot.hpp"
#include "windows/event_times.hpp"
#include "windows/keyed_state.hpp"
#include "windows/pane_buffer.hpp"
#include "windows/pane_table.hpp"
#include "windows/pane_trigger.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/session_gaps.hpp"
#include "windows/slicing.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

// One window per key, that holds all of its records.
struct GlobalSpec {};

// A window is complete with every `size` records of its key.
struct CountedSpec {
  int64_t size = 0;  // > 0
};

struct PaneAggregationSpec {
  std::variant<WindowSpec, SessionSpec, CountedSpec, GlobalSpec> windows;
  std::vector<int> key_columns;  // any number, also none; any type
  // timestamp, int64 or date32; no nulls. -1: the stream has none, which windows of counted records
  // and those without end do not need.
  int event_time_column = -1;
  std::vector<AggregateSpec> aggregates;
  int64_t allowed_lateness = 0;  // of windows that have an end; of sessions, too
  TriggerSpec trigger;
  // One of the caller's own: of `trigger`, only whether it discards has a meaning then.
  std::shared_ptr<PaneTrigger> own_trigger = nullptr;
};

class PaneAggregation {
 public:
  // Throws kSchema when a type does not fit (names column, type, aggregate); kConfig on a window or
  // trigger that does not exist.
  PaneAggregation(const PaneAggregationSpec& spec, SchemaPtr input);
  PaneAggregation(const PaneAggregation&) = delete;
  PaneAggregation& operator=(const PaneAggregation&) = delete;

  // Looked at between panes, or where there is a trigger of the caller's own, before each call of
  // it.
  void set_stop(StopSignal* stop);

  // Key columns, aggregates; between them, where there is an event time, window_start and
  // window_end. Windows of counted records, and those without end, have the least event time of
  // what they show, and the greatest plus one tick.
  const SchemaPtr& output_schema() const { return results_.schema(); }

  // Adds rows in the order of arrival. For each row, what its watermark fires comes first, in order
  // of the timers' times, then of the windows' ends, then of their first records; then the panes
  // that the row fires itself, in the order of end. Rows that entered no window are appended to
  // `late`. Returns how many entered a window that had ended.
  int64_t add(const RecordBatch& rows, const RowWatermarks& watermarks, std::vector<int32_t>* late,
              const EmitPanes& emit);

  // Fires everything that is due at the watermark, which never goes back.
  void advance(int64_t watermark, const EmitPanes& emit);

  // Key and window of a pane, for messages: "user = 'ann' in window [0, 10)".
  std::string describe(uint32_t pane) const;
  const PaneTable& panes() const { return panes_; }
  std::optional<int64_t> next_timer() const { return panes_.next_timer(); }

  // As of WindowAggregation; with what the trigger knows of panes.
  void snapshot(state::StateWriter* writer) const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  // Without what a trigger of the caller's own keeps.
  int64_t state_bytes() const;
  int64_t open_panes() const { return panes_.in_use(); }

 private:
  // Rows of the batch at work, with the ids of their keys.
  struct Batch {
    const RecordBatch* rows = nullptr;
    const int64_t* times = nullptr;
    const uint32_t* keys = nullptr;
    int64_t first_arrival = 0;
  };

  void check_stop() {
    if (own_stop_ != nullptr) own_stop_->check();
    stop_check_();
  }
  const int64_t* read_times(const RecordBatch& rows);
  int64_t cleanup_of(int64_t last) const;
  bool is_forgotten(int64_t last) const { return cleanup_of(last) <= panes_.watermark(); }
  uint32_t open(uint32_t key, uint32_t newer, int64_t start, int64_t last, int64_t row);
  // Add row `row` to its windows; false when it enters none.
  bool add_to_windows(int64_t row, const EmitPanes& emit);
  bool add_to_session(int64_t row, const EmitPanes& emit);
  bool add_to_fixed(int64_t row, const EmitPanes& emit);
  void find_fixed(int64_t row);
  uint32_t merge_touched(int64_t row, int64_t end);
  void take_in(uint32_t pane, int64_t row, const EmitPanes& emit);
  void pass(int64_t watermark, int64_t row, const EmitPanes& emit);
  void act(uint32_t pane, TriggerResult result, int64_t watermark, const EmitPanes& emit);
  void purge(uint32_t pane);
  void forget(uint32_t pane);
  // Adds up the rows of the run that ends before row `end`.
  void settle(int64_t end);
  void flush(const EmitPanes& emit) { pane_buffer_.flush(results_, keys_, emit); }
  void compact_keys();
  std::string describe() const;
  void restore_panes(const KeyedStateTable::Batch& batch);
  void restore_timers(const KeyedStateTable::Batch& batch);

  // Configuration.
  const PaneAggregationSpec spec_;
  const SchemaPtr input_;
  const std::optional<Field> time_field_;
  const std::optional<Slicing> slicing_;  // of windows of a fixed size
  const int64_t counted_;                 // records of a window; 0: windows are not counted
  const AccumulatorLayout layout_;
  const WindowResults results_;

  // State that is checkpointed.
  int64_t arrivals_ = 0;  // records so far
  state::KeyDictionary keys_;
  PaneTable panes_;
  AccumulatorTable table_;  // by pane
  SpecTrigger spec_trigger_;

  // State that is rebuilt.
  StopCheck stop_check_;
  StopSignal* own_stop_ =
      nullptr;                  // of a trigger of the caller's own, each call of which may be slow
  PaneTrigger* const trigger_;  // the spec's own, or spec_trigger_
  int64_t compact_at_;

  // Of the batch at work.
  Batch batch_;
  EventTimes times_;
  std::optional<SessionGaps> gaps_;
  std::vector<int64_t> no_times_;
  std::vector<uint32_t> key_ids_;
  std::vector<uint32_t> row_panes_;  // kNoPane: the row is late, or added up already
  int64_t run_begin_ = 0;            // rows from here on are not yet added up
  int64_t behind_ = 0;

  // Scratch.
  RowAccumulator accumulator_;
  PaneBuffer pane_buffer_;
  std::vector<int32_t> run_rows_;
  std::vector<uint32_t> touched_;  // panes of a row
};

}  // namespace pystream::windows
