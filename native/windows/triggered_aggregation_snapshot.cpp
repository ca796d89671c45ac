// TriggeredAggregation's snapshots. Tables and columns: docs/formats/state.md.

#include <string>

#include "base/error.hpp"
#include "windows/state_layout.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "window with a trigger";

Field whole(const char* name) { return {name, DataType::of(TypeId::kInt64), false}; }

KeyedStateTable windows_table(const StateKey& key, const AccumulatorLayout* layout) {
  return {"windows", key, {whole("window"), whole("since_fired")}, layout};
}

KeyedStateTable timers_table(const StateKey& key, const DataType& time) {
  return {"timers", key, {{"time", time, false}, whole("window")}, nullptr};
}

}  // namespace

std::string TriggeredAggregation::describe() const {
  std::string text = windows::describe(spec_.window) + windows::describe(spec_.trigger);
  if (spec_.allowed_lateness > 0) {
    text += ", allowed lateness " + std::to_string(spec_.allowed_lateness);
  }
  return text +
         describe_columns(*input_, spec_.event_time_column, spec_.key_columns, spec_.aggregates);
}

void TriggeredAggregation::snapshot(state::StateWriter* writer) const {
  const StateKey key = StateKey::of(spec_.key_columns, *input_);
  writer->set_operator(kKind, describe());
  writer->set_fact("watermark", watermark_);
  writer->set_fact("first_unclosed", first_unclosed_);
  write_keys(writer, key, keys_);

  const KeyedStateTable table = windows_table(key, &layout_);
  table.begin(writer);
  const auto key_of = [](const Window& window, uint32_t local) {
    return static_cast<uint32_t>(window.keys.keys()[local]);
  };
  for (const auto& [number, window] : windows_) {
    // A key stays with its window also when it has no rows there any more.
    KeyedStateTable::Rows rows;
    for (uint32_t local = 1; local < window.keys.size(); ++local) {
      const bool is_counted = local < window.since_fired.size();
      rows.add(key_of(window, local), {number, is_counted ? window.since_fired[local] : 0}, local);
    }
    table.write(writer, keys_, rows, &window.table);
  }

  const KeyedStateTable timers = timers_table(key, time_type_);
  timers.begin(writer);
  KeyedStateTable::Rows due;
  for (const auto& [place, locals] : timers_) {
    const Window& window = windows_.at(place.second);
    for (const uint32_t local : locals) {
      due.add(key_of(window, local), {place.first, place.second});
    }
  }
  timers.write(writer, keys_, due, nullptr);
}

void TriggeredAggregation::restore(const state::StateReader& reader, state::KeyGroupRange range) {
  reader.check_operator(kKind, describe());
  watermark_ = reader.fact("watermark");
  first_unclosed_ = reader.highest_fact("first_unclosed");
  windows_.clear();
  timers_.clear();
  keys_ = state::KeyDictionary(key_types(spec_.key_columns, *input_));
  const StateKey key = StateKey::of(spec_.key_columns, *input_);
  read_keys(reader, key, range, &keys_);
  const KeyedStateTable table = windows_table(key, &layout_);
  const KeyedStateTable timers = timers_table(key, time_type_);
  for (size_t part = 0; part < reader.parts(); ++part) {
    table.read(reader, part, range, [&](const auto& batch) { restore_windows(batch); });
    timers.read(reader, part, range, [&](const auto& batch) { restore_timers(batch); });
  }
  find_next_moment();
}

void TriggeredAggregation::restore_windows(const KeyedStateTable::Batch& batch) {
  const std::vector<uint32_t> ids = batch.ids(&keys_);
  std::vector<uint32_t> locals(ids.size());
  const std::vector<int64_t>& numbers = batch.space[0];
  for (size_t begin = 0; begin < ids.size();) {
    const int64_t number = numbers[begin];
    size_t end = begin + 1;
    while (end < ids.size() && numbers[end] == number) ++end;
    const auto place = window_at(windows_.lower_bound(number), number, true);
    Window& window = place->second;
    words_.assign(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                  ids.begin() + static_cast<std::ptrdiff_t>(end));
    window.keys.find_or_insert(words_.data(), static_cast<int64_t>(end - begin),
                               locals.data() + begin);
    if (spec_.trigger.every > 0) {
      window.since_fired.resize(window.keys.size());
      for (size_t row = begin; row < end; ++row) {
        window.since_fired[locals[row]] = batch.space[1][row];
      }
    }
    // Windows that have not closed have given each key its first timer; others give none.
    window.timed = window.keys.size();
    merge_batch(batch, static_cast<int64_t>(begin), static_cast<int64_t>(end - begin),
                locals.data(), window.keys.size(), &window.table);
    begin = end;
  }
}

void TriggeredAggregation::restore_timers(const KeyedStateTable::Batch& batch) {
  const std::vector<uint32_t> ids = batch.ids(&keys_);
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t number = batch.space[1][i];
    const auto window = windows_.find(number);
    const uint64_t id = ids[i];
    uint32_t local = 0;
    bool is_known = window != windows_.end();
    if (is_known) {
      const uint32_t known = window->second.keys.size();
      window->second.keys.find_or_insert(&id, 1, &local);
      is_known = local < known;
    }
    if (!is_known) {
      throw Error(ErrorCode::kCheckpoint, "a snapshot has a timer of window " +
                                              std::to_string(number) +
                                              ", but not its key there. It is damaged.");
    }
    timers_[{batch.space[0][i], number}].push_back(local);
  }
}

}  // namespace pystream::windows
