#pragma once
// What a SessionAggregation is made of. Internal to it: its work is in session_aggregation.cpp, its
// snapshots are in session_aggregation_snapshot.cpp.

#include <cstdint>
#include <string>
#include <vector>

#include "state/key_dictionary.hpp"
#include "state/snapshot.hpp"
#include "windows/accumulator_layout.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/event_times.hpp"
#include "windows/keyed_state.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/session_gaps.hpp"
#include "windows/session_table.hpp"
#include "windows/session_timers.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

// Fewer keys or sessions than this are not worth closing up.
inline constexpr int64_t kCompactMinSessions = 65536;

// Per row, in order: find the key's sessions that the row touches, extend or merge them or open
// one. Rows are accumulated later, in runs as long as nothing needs what they add up to: a run ends
// before sessions are merged or fired. What the watermark did meanwhile is told by comparing: a
// session with end - 1 <= the row's watermark has fired, although advance() emits it later.
struct SessionAggregation::State {
  State(const SessionAggregationSpec& given, const SchemaPtr& input);

  // Where a row is: all that its place depends on.
  struct Row {
    int64_t at;  // in the batch
    uint32_t key;
    int64_t time;
    int64_t end;
    int64_t watermark;
  };

  uint32_t place(const Row& row, const Emit& emit);
  // Finds the sessions that the row touches, oldest last, and the session behind which a new one
  // belongs. False when one of them has yet to be fired.
  bool find_touched(const Row& row);
  uint32_t merge_touched(const Row& row);
  void fire_now(const Row& row, uint32_t session, const Emit& emit);
  void flush(int64_t end);
  void fire(int64_t watermark, const Emit& emit);
  void retire(uint32_t session);
  void emit_due(const Emit& emit);

  bool has_ended(const Session& session, int64_t watermark) const {
    return session.end - 1 <= watermark;
  }
  // Past its end and the allowed lateness.
  bool is_gone(int64_t end, int64_t watermark) const {
    // end - 1 + lateness, where it would pass the largest time, is never reached by a watermark
    // but the last.
    int64_t cleanup = 0;
    if (__builtin_add_overflow(end - 1, lateness, &cleanup)) cleanup = INT64_MAX;
    return cleanup <= watermark;
  }
  int64_t due_time(const Session& session) const {
    int64_t due = session.end - 1;
    if (session.is_fired && __builtin_add_overflow(due, lateness, &due)) due = INT64_MAX;
    return due;
  }
  void arm(uint32_t session) {
    const int64_t due = due_time(sessions[session]);
    if (due >= sessions[session].armed) return;  // its timer looks again
    sessions[session].armed = due;
    timers.arm(due, session);
  }

  std::string describe() const;
  KeyedStateTable state_table(const StateKey& key) const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);
  void restore_rows(const KeyedStateTable::Batch& batch);

  void compact();
  bool is_worth_compacting(int64_t size, int64_t alive, int64_t* look_at) const;

  // Configuration.
  const SessionAggregationSpec spec;
  const SchemaPtr input;
  const int64_t lateness;
  const Field time_field;
  const AccumulatorLayout layout;
  WindowResults results;

  // State that is checkpointed.
  int64_t watermark = kMinWatermark;
  int64_t arrivals = 0;  // records so far
  state::KeyDictionary keys;
  SessionTable sessions;
  AccumulatorTable table;  // by session

  // State that is rebuilt.
  SessionTimers timers;
  int64_t look_at_keys = kCompactMinSessions;
  int64_t look_at_sessions = kCompactMinSessions;

  // Of the batch at work.
  EventTimes times;
  SessionGaps gaps;
  RowAccumulator accumulator;
  const RecordBatch* batch = nullptr;
  const int64_t* row_times = nullptr;
  int64_t first_arrival = 0;
  std::vector<uint32_t> ids;
  std::vector<uint32_t> row_sessions;
  int64_t run_begin = 0;  // rows from here on are not yet accumulated
  bool run_has_late = false;
  int64_t fired_at_once = 0;  // records that fired their session
  std::vector<int32_t> run_rows;

  // Scratch.
  std::vector<uint32_t> touched;
  uint32_t newer = kNoSession;
  struct Due {
    int64_t end;
    int64_t arrival;
    uint32_t session;
    bool operator<(const Due& other) const {
      return end != other.end ? end < other.end : arrival < other.arrival;
    }
  };
  std::vector<Due> due;
  std::vector<uint32_t> again;
  std::vector<uint32_t> due_keys, due_slots;
  std::vector<int64_t> due_starts, due_ends;
};

}  // namespace pystream::windows
