#include "windows/session_aggregation.hpp"

#include <algorithm>
#include <utility>

#include "windows/session_aggregation_state.hpp"

namespace pystream::windows {

namespace {

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

SessionAggregation::State::State(const SessionAggregationSpec& given, const SchemaPtr& input)
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
  *look_at = std::max({kCompactMinSessions, 2 * alive, result ? 0 : size + size / 2});
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

int64_t SessionAggregation::state_bytes() const {
  return state_->keys.bytes() + state_->sessions.bytes() + state_->timers.bytes() +
         state_->table.bytes();
}

int64_t SessionAggregation::open_sessions() const { return state_->sessions.in_use(); }

}  // namespace pystream::windows
