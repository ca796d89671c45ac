// PaneAggregation's snapshots. Tables and columns: docs/formats/state.md.

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "windows/pane_aggregation.hpp"
#include "windows/state_layout.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "panes";

// The columns of a pane, in this order.
enum Column : uint8_t { kStart, kLast, kArrival, kTaken, kHeld, kMinTime, kMaxTime };

Field whole(const char* name) { return {name, DataType::of(TypeId::kInt64), false}; }

KeyedStateTable panes_table(const StateKey& key, const AccumulatorLayout* layout,
                            const PaneTrigger& trigger) {
  return {"panes",
          key,
          {whole("start"), whole("last"), whole("arrival"), whole("taken"), whole("held"),
           whole("min_time"), whole("max_time")},
          layout,
          trigger.state_fields()};
}

KeyedStateTable timers_table(const StateKey& key) {
  return {"timers", key, {whole("start"), whole("last"), whole("time")}, nullptr};
}

std::string describe_windows(const PaneAggregationSpec& spec, const Schema& input) {
  if (const auto* fixed = std::get_if<WindowSpec>(&spec.windows)) return describe(*fixed);
  if (const auto* session = std::get_if<SessionSpec>(&spec.windows)) {
    return describe(*session, input);
  }
  if (const auto* counted = std::get_if<CountedSpec>(&spec.windows)) {
    return "windows of " + std::to_string(counted->size) + " records";
  }
  return "global window";
}

}  // namespace

std::string PaneAggregation::describe() const {
  std::string text = describe_windows(spec_, *input_);
  TriggerSpec trigger = spec_.trigger;
  if (spec_.own_trigger) {
    text += ", trigger " + spec_.own_trigger->name();
    trigger = {0, 0, true, trigger.is_discarding};
  }
  text += windows::describe(trigger);
  if (spec_.allowed_lateness > 0) {
    text += ", allowed lateness " + std::to_string(spec_.allowed_lateness);
  }
  return text +
         describe_columns(*input_, spec_.event_time_column, spec_.key_columns, spec_.aggregates);
}

void PaneAggregation::snapshot(state::StateWriter* writer) const {
  const StateKey key = StateKey::of(spec_.key_columns, *input_);
  writer->set_operator(kKind, describe());
  writer->set_fact("watermark", panes_.watermark());
  writer->set_fact("arrivals", arrivals_);
  write_keys(writer, key, keys_);

  // In the order of their ends, in which they are chained.
  std::vector<uint32_t> numbers;
  for (uint32_t number = 0; number < panes_.size(); ++number) {
    if (panes_[number].is_live()) numbers.push_back(number);
  }
  std::stable_sort(numbers.begin(), numbers.end(),
                   [&](uint32_t a, uint32_t b) { return panes_[a].last < panes_[b].last; });
  KeyedStateTable::Rows rows;
  KeyedStateTable::Rows due;
  for (const uint32_t number : numbers) {
    const Pane& pane = panes_[number];
    rows.add(
        pane.key,
        {pane.start, pane.last, pane.arrival, pane.taken, pane.held, pane.min_time, pane.max_time},
        number);
    for (const int64_t time : pane.timers) due.add(pane.key, {pane.start, pane.last, time});
  }
  const KeyedStateTable panes = panes_table(key, &layout_, *trigger_);
  panes.begin(writer);
  panes.write(writer, keys_, rows, &table_,
              [this](const auto& slots) { return trigger_->snapshot(panes_, slots); });
  const KeyedStateTable timers = timers_table(key);
  timers.begin(writer);
  timers.write(writer, keys_, due, nullptr);
}

void PaneAggregation::restore(const state::StateReader& reader, state::KeyGroupRange range) {
  reader.check_operator(kKind, describe());
  keys_ = state::KeyDictionary(key_types(spec_.key_columns, *input_));
  panes_ = PaneTable();
  table_ = AccumulatorTable(&layout_);
  trigger_->forget_all();
  panes_.start_at(reader.fact("watermark"));
  arrivals_ = reader.highest_fact("arrivals");
  const StateKey key = StateKey::of(spec_.key_columns, *input_);
  read_keys(reader, key, range, &keys_);
  panes_.reserve_keys(keys_.size());
  const KeyedStateTable panes = panes_table(key, &layout_, *trigger_);
  const KeyedStateTable timers = timers_table(key);
  for (size_t part = 0; part < reader.parts(); ++part) {
    panes.read(reader, part, range, [&](const auto& batch) { restore_panes(batch); });
    timers.read(reader, part, range, [&](const auto& batch) { restore_timers(batch); });
  }
}

void PaneAggregation::restore_panes(const KeyedStateTable::Batch& batch) {
  const std::vector<uint32_t> ids = batch.ids(&keys_);
  panes_.reserve_keys(keys_.size());
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto place = [&](Column column) { return batch.space[column][i]; };
    uint32_t newer = kNoPane;
    uint32_t at = panes_.newest(ids[i]);
    while (at != kNoPane && panes_[at].last > place(kLast)) {
      newer = at;
      at = panes_[at].older;
    }
    const uint32_t number =
        panes_.open(ids[i], newer, place(kStart), place(kLast), place(kArrival));
    Pane& pane = panes_[number];
    pane.taken = place(kTaken);
    pane.held = place(kHeld);
    pane.min_time = place(kMinTime);
    pane.max_time = place(kMaxTime);
    panes_.set_cleanup(number, cleanup_of(pane.last));
    numbers.push_back(number);
  }
  trigger_->restore(panes_, numbers, batch.others);
  merge_batch(batch, 0, batch.rows, numbers.data(), panes_.size(), &table_);
}

void PaneAggregation::restore_timers(const KeyedStateTable::Batch& batch) {
  const std::vector<uint32_t> ids = batch.ids(&keys_);
  panes_.reserve_keys(keys_.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    uint32_t at = panes_.newest(ids[i]);
    while (at != kNoPane &&
           (panes_[at].start != batch.space[0][i] || panes_[at].last != batch.space[1][i])) {
      at = panes_[at].older;
    }
    if (at == kNoPane) {
      throw Error(ErrorCode::kCheckpoint,
                  "a snapshot has a timer of a pane that it does not have. It is damaged.");
    }
    panes_.register_timer(at, batch.space[2][i]);
  }
}

}  // namespace pystream::windows
