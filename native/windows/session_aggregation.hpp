#pragma once
// Keyed session windows: record by record where sessions begin, grow and merge, batch by batch
// where values are accumulated. Semantics: docs/semantics.md (Flink's merging windows, rule by
// rule).
//
// Sessions are merged in the order of their records' arrival, so all of this is serial: one thread
// at a time, rows in append order. What is emitted, and in which order, then depends on the rows
// and their watermarks alone.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "columns/record_batch.hpp"
#include "state/snapshot.hpp"
#include "windows/session_spec.hpp"

namespace pystream::windows {

class SessionAggregation {
 public:
  // Result rows, each with a moment: those below see it at the last watermark up to that.
  using Emit = std::function<void(RecordBatch&&, RowWatermarks&&)>;

  // Throws kSchema when a type does not fit (names column, type, aggregate); kConfig on a bad gap
  // or lateness.
  SessionAggregation(const SessionAggregationSpec& spec, SchemaPtr input);
  ~SessionAggregation();

  // Key columns, window_start, window_end (type of the event-time column), aggregates. The event
  // time of a result row is window_end - 1.
  const SchemaPtr& output_schema() const;

  // Adds rows, each with the watermark in force when it arrived. Rows that entered no session are
  // appended to `late` (indexes, ascending). With allowed lateness, sessions fire for late records
  // at once, and those that are due before that with them; returns how many records did so. Throws
  // kOperator on a null event time and on a bad gap; nothing has been added then.
  int64_t add(const RecordBatch& rows, const RowWatermarks& watermarks, std::vector<int32_t>* late,
              const Emit& emit);

  // Fires every session with end - 1 <= watermark, in order of end, then of first arrival. The
  // watermark never goes back.
  void advance(int64_t watermark, const Emit& emit);

  // A watermark at which to look again: none below it fires a session. None where there is none.
  std::optional<int64_t> next_timer() const;

  // As of WindowAggregation.
  void snapshot(state::StateWriter* writer) const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  // Bytes held by keys, sessions and accumulators; number of sessions held.
  int64_t state_bytes() const;
  int64_t open_sessions() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pystream::windows
