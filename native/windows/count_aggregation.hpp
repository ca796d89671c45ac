#pragma once
// Keyed count windows: a window of the last `size` records of a key, each time that `slide` more
// have come. Semantics: docs/semantics.md (Flink's countWindow).
//
// Records are counted in the order of arrival, so all of this is serial: one thread at a time, rows
// in append order. What is emitted, and in which order, then depends on the rows alone.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "columns/record_batch.hpp"
#include "state/snapshot.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

struct CountAggregationSpec {
  int64_t size = 0;   // > 0, in records of a key
  int64_t slide = 0;  // 0 < slide <= size
  std::vector<int> key_columns;
  int event_time_column = -1;  // timestamp, int64 or date32, no nulls; -1: the stream has none
  std::vector<AggregateSpec> aggregates;
};

class CountAggregation {
 public:
  // Result rows, each with the watermark that those below it see.
  using Emit = std::function<void(RecordBatch&&, RowWatermarks&&)>;

  // Throws kSchema when a type does not fit (names column, type, aggregate); kConfig on a bad size
  // or slide.
  CountAggregation(const CountAggregationSpec& spec, SchemaPtr input);
  ~CountAggregation();

  // Key columns, aggregates; between them, where there is an event time, window_start and
  // window_end: the least event time of the window's rows, and the greatest plus one tick.
  const SchemaPtr& output_schema() const;

  // Adds rows and emits the windows that they complete, in that order; each with the watermark that
  // was in force when its last record came. Throws kOperator on a null event time, and on one so
  // large that no window can end behind it; nothing has been added then.
  void add(const RecordBatch& rows, const RowWatermarks& watermarks, const Emit& emit);

  // As of WindowAggregation.
  void snapshot(state::StateWriter* writer) const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  // Bytes held by keys and accumulators; number of slices held.
  int64_t state_bytes() const;
  int64_t open_slices() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pystream::windows
