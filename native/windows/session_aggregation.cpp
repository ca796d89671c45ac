#include "windows/session_aggregation.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "state/key_dictionary.hpp"
#include "windows/accumulator_layout.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/event_times.hpp"
#include "windows/keyed_state.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/session_gaps.hpp"
#include "windows/session_table.hpp"
#include "windows/session_timers.hpp"
#include "windows/state_layout.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "session window";
// Fewer keys or sessions than this are not worth closing up.
constexpr int64_t kCompactMin = 65536;
constexpr int64_t kPrefetchDistance = 16;
// No session: the row is late.
constexpr uint32_t kLate = kNoSession;

SessionAggregationSpec checked(SessionAggregationSpec spec, const Schema& input) {
  key_types(spec.key_columns, input);
  event_time_field(spec.event_time_column, input);
  check_allowed_lateness(spec.session.allowed_lateness);
  return spec;
}

}  // namespace

// Per row, in order: find the key's sessions that the row touches, extend or merge them or open
// one. Rows are accumulated later, in runs as long as nothing needs what they add up to: a run ends
// before sessions are merged or fired. What the watermark did meanwhile is told by comparing: a
// session with end - 1 <= the row's watermark has fired, although advance() emits it later.
struct SessionAggregation::State {
  State(const SessionAggregationSpec& given, const SchemaPtr& input)
      : spec(checked(given, *input)),
        input(input),
        lateness(spec.session.allowed_lateness),
        time_field(event_time_field(spec.event_time_column, *input)),
        // Several sessions may be open at once, also without keys.
        layout(make_layout(spec.aggregates, *input, true)),
        results(&layout, *input, spec.key_columns, time_field.type),
        keys(key_types(spec.key_columns, *input)),
        table(&layout),
        times(time_field.name),
        gaps(spec.session, *input, time_field),
        accumulator(&layout) {}

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
  int64_t look_at_keys = kCompactMin;
  int64_t look_at_sessions = kCompactMin;

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

bool SessionAggregation::State::find_touched(const Row& row) {
  touched.clear();
  const ChainIndex::Place place = sessions.seek(row.key, row.end);
  newer = place.newer;
  uint32_t at = place.at;
  bool is_settled = true;
  while (at != kNoSession && sessions[at].end >= row.time) {
    const uint32_t older = sessions[at].older;
    if (is_gone(sessions[at].end, row.watermark)) {
      sessions.unchain(at);
    } else {
      is_settled &= sessions[at].is_fired || !has_ended(sessions[at], row.watermark);
      touched.push_back(at);
    }
    at = older;
  }
  return is_settled;
}

// The oldest takes in the others, in the order of time.
uint32_t SessionAggregation::State::merge_touched(const Row& row) {
  const uint32_t target = touched.back();
  Session& merged = sessions[target];
  if (touched.size() > 1) flush(row.at);
  for (size_t i = touched.size() - 1; i-- > 0;) {
    const uint32_t source = touched[i];
    merged.end = std::max(merged.end, sessions[source].end);
    merged.arrival = std::min(merged.arrival, sessions[source].arrival);
    table.merge_slots(table, &target, &source, 1);
    retire(source);
  }
  sessions.set_start(target, std::min(merged.start, row.time));
  merged.end = std::max(merged.end, row.end);
  merged.is_fired = false;
  return target;
}

uint32_t SessionAggregation::State::place(const Row& row, const Emit& emit) {
  if (!find_touched(row)) {
    flush(row.at);
    fire(row.watermark, emit);
    find_touched(row);
  }
  uint32_t session = kNoSession;
  if (!touched.empty()) {
    session = merge_touched(row);
  } else if (is_gone(row.end, row.watermark)) {
    return kLate;
  } else {
    session = sessions.open(row.key, newer, row.time, row.end, arrivals + row.at);
  }
  row_sessions[static_cast<size_t>(row.at)] = session;
  if (has_ended(sessions[session], row.watermark)) {
    fire_now(row, session, emit);
  } else {
    arm(session);
  }
  return session;
}

// A late record's session has ended: it fires with the record, after all that was due before.
void SessionAggregation::State::fire_now(const Row& row, uint32_t session, const Emit& emit) {
  sessions[session].is_fired = true;
  ++fired_at_once;
  arm(session);
  flush(row.at + 1);
  fire(row.watermark, emit);
  const Session& fired = sessions[session];
  RowWatermarks watermarks;
  watermarks.all = row.watermark;
  emit(results.make_batch(table, keys,
                          {{&fired.key, 1}, {&session, 1}, {&fired.start, 1}, {&fired.end, 1}}),
       std::move(watermarks));
}

// Accumulates the rows of the run that ends before row `end`.
void SessionAggregation::State::flush(int64_t end) {
  RowRange rows{run_begin, end - run_begin, nullptr, row_times, first_arrival};
  if (run_has_late) {
    run_rows.clear();
    for (int64_t row = run_begin; row < end; ++row) {
      if (row_sessions[static_cast<size_t>(row)] != kLate) {
        run_rows.push_back(static_cast<int32_t>(row));
      }
    }
    rows.begin = 0;
    rows.count = static_cast<int64_t>(run_rows.size());
    rows.indices = run_rows.data();
  }
  run_begin = end;
  run_has_late = false;
  if (rows.count == 0) return;
  table.prepare(sessions.size(), true);
  accumulator.add(&table, *batch, row_sessions.data(), rows);
}

void SessionAggregation::State::retire(uint32_t session) {
  sessions.unchain(session);
  table.clear_rows({&session, 1});
  sessions.release(session);
}

// Everything that is due by the watermark; all rows before have been accumulated.
void SessionAggregation::State::fire(int64_t up_to, const Emit& emit) {
  due.clear();
  again.clear();
  timers.pass(up_to, [&](int64_t time, uint32_t session) {
    Session& held = sessions[session];
    // Timers of sessions that were merged are left, also when their number is used again.
    if (held.key == state::kNoId || held.armed != time) return;
    held.armed = INT64_MAX;
    if (due_time(held) > up_to) {
      again.push_back(session);
    } else if (held.is_fired) {
      retire(session);
    } else {
      due.push_back({held.end, held.arrival, session});
    }
  });
  for (const uint32_t session : again) arm(session);
  std::sort(due.begin(), due.end());
  emit_due(emit);
  for (const Due& fired : due) {
    if (is_gone(fired.end, up_to)) {
      retire(fired.session);
      continue;
    }
    sessions[fired.session].is_fired = true;
    arm(fired.session);
  }
}

// A result of a session that ends at e exists from the first watermark >= e - 1 on. The rows below
// see the one before that: the last up to e - 2, which is given with each.
void SessionAggregation::State::emit_due(const Emit& emit) {
  for (size_t begin = 0; begin < due.size(); begin += kMaxResultRows) {
    const size_t count = std::min<size_t>(kMaxResultRows, due.size() - begin);
    due_keys.resize(count);
    due_slots.resize(count);
    due_starts.resize(count);
    due_ends.resize(count);
    MutableBuffer before(static_cast<int64_t>(count * sizeof(int64_t)));
    for (size_t i = 0; i < count; ++i) {
      const uint32_t session = due[begin + i].session;
      due_slots[i] = session;
      due_keys[i] = sessions[session].key;
      due_starts[i] = sessions[session].start;
      due_ends[i] = sessions[session].end;
      // The end is above the start, so nothing wraps around but before the first watermark.
      before.as<int64_t>()[i] = std::max(due_ends[i] - 1, kMinWatermark + 1) - 1;
    }
    RowWatermarks watermarks;
    watermarks.all = before.as<int64_t>()[0];
    watermarks.per_row = before.freeze();
    emit(results.make_batch(table, keys, {due_keys, due_slots, due_starts, due_ends}),
         std::move(watermarks));
  }
}

bool SessionAggregation::State::is_worth_compacting(int64_t size, int64_t alive,
                                                    int64_t* look_at) const {
  const bool result = alive * 2 < size;
  *look_at = std::max({kCompactMin, 2 * alive, result ? 0 : size + size / 2});
  return result;
}

// Sessions come and go, and so do keys: now and then the numbers of those that are gone are closed
// up, so that a job over ever new keys holds only those of its open sessions.
void SessionAggregation::State::compact() {
  if (sessions.size() >= look_at_sessions &&
      is_worth_compacting(sessions.size(), sessions.in_use(), &look_at_sessions)) {
    const std::vector<uint32_t> numbers = sessions.compact();
    table.remap(numbers);
    timers.remap(numbers);
  }
  if (keys.size() < look_at_keys) return;
  std::vector<uint8_t> live(keys.size());
  sessions.mark_keys(live);
  const int64_t alive = std::count(live.begin(), live.end(), 1);
  if (is_worth_compacting(keys.size(), alive, &look_at_keys)) {
    const std::vector<uint32_t> new_ids = keys.compact(live);
    sessions.remap_keys(new_ids, keys.size());
  }
}

std::string SessionAggregation::State::describe() const {
  std::string text = windows::describe(spec.session, *input);
  if (lateness > 0) text += ", allowed lateness " + std::to_string(lateness);
  return text + describe_columns(*input, spec.event_time_column, spec.key_columns, spec.aggregates);
}

KeyedStateTable SessionAggregation::State::state_table(const StateKey& key) const {
  return {"sessions",
          key,
          {{"window_start", time_field.type, false},
           {"window_end", time_field.type, false},
           {"arrival", DataType::of(TypeId::kInt64), false},
           {"is_fired", DataType::of(TypeId::kBool), false},
           {"is_closed", DataType::of(TypeId::kBool), false}},
          &layout};
}

// Into a state that is new.
void SessionAggregation::State::restore(const state::StateReader& reader,
                                        state::KeyGroupRange range) {
  reader.check_operator(kKind, describe());
  watermark = reader.fact("watermark");
  arrivals = reader.highest_fact("arrivals");
  timers.pass(watermark, [](int64_t, uint32_t) {});
  const StateKey key = StateKey::of(spec.key_columns, *input);
  read_keys(reader, key, range, &keys);
  for (size_t part = 0; part < reader.parts(); ++part) {
    state_table(key).read(reader, part, range,
                          [&](const KeyedStateTable::Batch& rows) { restore_rows(rows); });
  }
}

void SessionAggregation::State::restore_rows(const KeyedStateTable::Batch& rows) {
  const std::vector<uint32_t> of_rows = rows.ids(&keys);
  sessions.reserve_keys(keys.size());
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < of_rows.size(); ++i) {
    const int64_t start = rows.space[0][i];
    const ChainIndex::Place place = sessions.seek(of_rows[i], start);
    const uint32_t session =
        sessions.open(of_rows[i], place.newer, start, rows.space[1][i], rows.space[2][i]);
    sessions[session].is_fired = rows.space[3][i] != 0;
    if (rows.space[4][i] != 0) sessions.unchain(session);
    arm(session);
    numbers.push_back(session);
  }
  merge_batch(rows, 0, rows.rows, numbers.data(), sessions.size(), &table);
}

SessionAggregation::SessionAggregation(const SessionAggregationSpec& spec, SchemaPtr input)
    : state_(std::make_unique<State>(spec, input)) {}

SessionAggregation::~SessionAggregation() = default;

const SchemaPtr& SessionAggregation::output_schema() const { return state_->results.schema(); }

int64_t SessionAggregation::add(const RecordBatch& rows, const RowWatermarks& watermarks,
                                std::vector<int32_t>* late, const Emit& emit) {
  State& state = *state_;
  const int64_t count = rows.num_rows;
  if (count == 0) return 0;
  const int64_t* times =
      state.times.read(rows.columns[static_cast<size_t>(state.spec.event_time_column)]);
  state.gaps.check(rows, times);
  const int64_t* ends = state.gaps.ends();
  const int64_t gap = state.gaps.constant();
  const int64_t* in_force = watermarks.per_row ? watermarks.per_row.as<int64_t>() : nullptr;
  // A watermark never goes back; a source that says less than advance() knew means the same.
  const int64_t least = std::max(watermarks.all, state.watermark);

  std::vector<const Array*> key_columns;
  for (const int key : state.spec.key_columns) {
    key_columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  state.ids.resize(static_cast<size_t>(count));
  state.row_sessions.resize(static_cast<size_t>(count));
  state.keys.find_or_insert(key_columns, count, state.ids.data());
  state.sessions.reserve_keys(state.keys.size());
  state.batch = &rows;
  state.row_times = times;
  state.first_arrival = watermarks.first_arrival;
  state.run_begin = 0;
  state.fired_at_once = 0;

  const uint32_t* ids = state.ids.data();
  for (int64_t i = 0; i < count; ++i) {
    if (i + 2 * kPrefetchDistance < count) {
      __builtin_prefetch(state.sessions.newest_of_keys() + ids[i + 2 * kPrefetchDistance]);
      const uint32_t ahead = state.sessions.newest(ids[i + kPrefetchDistance]);
      if (ahead != kNoSession) __builtin_prefetch(&state.sessions[ahead]);
    }
    const State::Row row{i, ids[i], times[i], ends == nullptr ? times[i] + gap : ends[i],
                         in_force == nullptr ? least : std::max(in_force[i], state.watermark)};
    // The usual row is within the newest session of its key, and that is open.
    const uint32_t newest = state.sessions.newest(row.key);
    if (newest != kNoSession) {
      Session& session = state.sessions[newest];
      if (session.start <= row.time && row.time <= session.end &&
          !state.has_ended(session, row.watermark)) {
        session.end = std::max(session.end, row.end);
        state.row_sessions[static_cast<size_t>(i)] = newest;
        continue;
      }
    }
    const uint32_t session = state.place(row, emit);
    state.row_sessions[static_cast<size_t>(i)] = session;
    if (session != kLate) continue;
    state.run_has_late = true;
    late->push_back(static_cast<int32_t>(i));
  }
  state.flush(count);
  state.table.settle();
  state.arrivals += count;
  state.batch = nullptr;
  return state.fired_at_once;
}

void SessionAggregation::advance(int64_t watermark, const Emit& emit) {
  State& state = *state_;
  if (watermark <= state.watermark) return;
  state.watermark = watermark;
  state.fire(watermark, emit);
  state.compact();
}

std::optional<int64_t> SessionAggregation::next_timer() const { return state_->timers.next(); }

void SessionAggregation::snapshot(state::StateWriter* writer) const {
  const State& state = *state_;
  const StateKey key = StateKey::of(state.spec.key_columns, *state.input);
  writer->set_operator(kKind, state.describe());
  writer->set_fact("watermark", state.watermark);
  writer->set_fact("arrivals", state.arrivals);
  std::vector<uint8_t> live(state.keys.size());
  state.sessions.mark_keys(live);
  write_keys(writer, key, state.keys, live);
  KeyedStateTable::Rows rows;
  for (uint32_t number = 0; number < state.sessions.size(); ++number) {
    const Session& session = state.sessions[number];
    if (session.key == state::kNoId) continue;
    rows.add(session.key,
             {session.start, session.end, session.arrival, session.is_fired ? 1 : 0,
              session.is_chained ? 0 : 1},
             number);
  }
  const KeyedStateTable table = state.state_table(key);
  table.begin(writer);
  table.write(writer, state.keys, rows, &state.table);
}

void SessionAggregation::restore(const state::StateReader& reader, state::KeyGroupRange range) {
  auto fresh = std::make_unique<State>(state_->spec, state_->input);
  fresh->restore(reader, range);
  state_ = std::move(fresh);
}

int64_t SessionAggregation::state_bytes() const {
  return state_->keys.bytes() + state_->sessions.bytes() + state_->timers.bytes() +
         state_->table.bytes();
}

int64_t SessionAggregation::open_sessions() const { return state_->sessions.in_use(); }

}  // namespace pystream::windows
