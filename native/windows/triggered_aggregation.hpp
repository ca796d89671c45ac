#pragma once
// Windows that fire before they close, or show only what came since they fired: one record after
// the other, in the order of arrival. Semantics: docs/semantics.md (Flink's WindowOperator with
// EventTimeTrigger, CountTrigger, ContinuousEventTimeTrigger and PurgingTrigger).
//
// WindowAggregation is faster wherever windows fire on close alone and accumulate. Here every key
// of every window has a row of accumulators of its own, and a record is added to each of its
// windows. Records that fire nothing are still taken in runs: those of one slice, up to the next
// moment at which the watermark fires something, are added to each of their windows by the kernels.
//
// Owned by one operator; one thread at a time. Snapshotable: keys, and per window the table, the
// keys in it and what its trigger counts, and the timers.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stop_signal.hpp"
#include "state/key_dictionary.hpp"
#include "state/word_table.hpp"
#include "windows/event_times.hpp"
#include "windows/keyed_state.hpp"
#include "windows/pane_buffer.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/slicing.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

class TriggeredAggregation {
 public:
  // Throws as WindowAggregation does, and kConfig on a trigger that does not exist.
  TriggeredAggregation(const WindowAggregationSpec& spec, SchemaPtr input);

  // Looked at between windows.
  void set_stop(StopSignal* stop) { stop_check_.set(stop); }

  const SchemaPtr& output_schema() const { return results_.schema(); }

  // Adds rows in the order of arrival. For each row, what its watermark fires comes first: windows
  // and early panes in the order of their times, then of the windows' ends; then the panes that the
  // row fires itself, in the order of end. Rows that entered no window are appended to `late`.
  // Returns how many entered a window that had closed.
  int64_t add(const RecordBatch& rows, const RowWatermarks& watermarks, std::vector<int32_t>* late,
              const EmitPanes& emit);

  // Fires everything that is due at the watermark, which never goes back.
  void advance(int64_t watermark, const EmitPanes& emit);

  // The first watermark at which something may fire; none where nothing waits.
  std::optional<int64_t> next_timer() const {
    return next_moment_ == kMaxWatermark ? std::nullopt : std::optional(next_moment_);
  }

  // As of WindowAggregation.
  void snapshot(state::StateWriter* writer) const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  int64_t state_bytes() const;

 private:
  // One window. Its keys have local ids 1, 2, ... in the order in which they came to it.
  struct Window {
    Window(const AccumulatorLayout* layout, int64_t first, int64_t past)
        : start(first), end(past), table(layout) {}

    int64_t start;
    int64_t end;
    state::WordTable keys;             // key id to local id
    AccumulatorTable table;            // by local id
    std::vector<int64_t> since_fired;  // records by local id, of a trigger that counts them
    uint32_t timed = 1;                // local ids below it have had their first timer
  };
  using Windows = std::map<int64_t, Window>;

  // Rows of the batch at work, with the ids of their keys.
  struct Batch {
    const RecordBatch& rows;
    const int64_t* times;
    WatermarkView watermarks;
    const uint32_t* keys;
    int64_t first_arrival;
  };
  // The windows that take the rows of a slice; those up to `closed` have closed.
  struct Takers {
    int64_t first;
    int64_t closed;
    int64_t last;
  };

  Takers takers_of(int64_t slice);
  int64_t run_end(const Batch& batch, int64_t begin, int64_t slice) const;
  void add_run(const Batch& batch, int64_t begin, int64_t end, const Takers& takers);
  void add_one(const Batch& batch, int64_t row, const Takers& takers, const EmitPanes& emit);
  Windows::iterator window_at(Windows::iterator place, int64_t number, bool is_closed);
  int64_t first_timer(int64_t time) const;
  void schedule(int64_t time, const Windows::value_type& window, uint32_t local);
  void find_next_moment();
  void pass(int64_t watermark, const EmitPanes& emit);
  void fire_timer(int64_t watermark_before, const EmitPanes& emit);
  void close(Windows::iterator window, int64_t watermark_before, const EmitPanes& emit);
  void fire_one(Window* window, uint32_t local, uint32_t key, const EmitPanes& emit);
  void fire(Window* window, const uint32_t* locals, int64_t count, int64_t watermark,
            const EmitPanes& emit);
  void flush(const EmitPanes& emit) { panes_.flush(results_, keys_, emit); }
  void compact_keys();
  std::vector<uint8_t> live_keys() const;
  std::string describe() const;
  void restore_windows(const KeyedStateTable::Batch& batch);
  void restore_timers(const KeyedStateTable::Batch& batch);

  // Configuration.
  const WindowAggregationSpec spec_;
  const SchemaPtr input_;
  const DataType time_type_;
  const Slicing slicing_;
  const AccumulatorLayout layout_;
  const WindowResults results_;

  // State that is checkpointed.
  int64_t watermark_ = kMinWatermark;
  int64_t first_unclosed_ = INT64_MIN;  // windows before it have closed
  state::KeyDictionary keys_;
  Windows windows_;
  // Early panes to come, by time and window: local ids, in the order of their registration.
  std::map<std::pair<int64_t, int64_t>, std::vector<uint32_t>> timers_;

  // State that is rebuilt.
  StopCheck stop_check_;
  int64_t next_moment_ = kMaxWatermark;  // a lower watermark fires nothing
  int64_t compact_at_;

  // Scratch.
  EventTimes times_;
  RowAccumulator accumulator_;
  PaneBuffer panes_;
  std::vector<uint32_t> key_ids_;
  std::vector<uint64_t> words_;
  std::vector<uint32_t> locals_;  // by row of the batch
  std::vector<uint32_t> fired_;
};

}  // namespace pystream::windows
