// The state of a SessionAggregation as columns, and back.

#include <utility>

#include "windows/session_aggregation_state.hpp"
#include "windows/state_layout.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "session window";

}  // namespace

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

void SessionAggregation::snapshot(state::StateWriter* writer) const {
  const State& state = *state_;
  const StateKey key = StateKey::of(state.spec.key_columns, *state.input);
  writer->set_operator(kKind, state.describe());
  writer->set_fact("watermark", state.watermark);
  writer->set_fact("arrivals", state.arrivals);
  write_keys(writer, key, state.keys);
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

}  // namespace pystream::windows
