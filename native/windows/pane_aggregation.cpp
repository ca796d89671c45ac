#include "windows/pane_aggregation.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "state/limits.hpp"
#include "windows/accumulator_values.hpp"

namespace pystream::windows {

namespace {

PaneAggregationSpec checked(PaneAggregationSpec spec, const Schema& input) {
  key_types(spec.key_columns, input);
  const auto* counted = std::get_if<CountedSpec>(&spec.windows);
  if (counted != nullptr && counted->size < 1) {
    throw Error(ErrorCode::kConfig, "count windows have the size " + std::to_string(counted->size) +
                                        ". Use at least one record.");
  }
  check(spec.trigger);
  check_allowed_lateness(spec.allowed_lateness);
  return spec;
}

int64_t counted_of(const PaneAggregationSpec& spec) {
  const auto* counted = std::get_if<CountedSpec>(&spec.windows);
  return counted == nullptr ? 0 : counted->size;
}

std::optional<Field> time_field_of(const PaneAggregationSpec& spec, const Schema& input) {
  const bool has_bounds = std::holds_alternative<WindowSpec>(spec.windows) ||
                          std::holds_alternative<SessionSpec>(spec.windows);
  if (spec.event_time_column < 0 && !has_bounds) return std::nullopt;
  return event_time_field(spec.event_time_column, input);
}

std::optional<Slicing> slicing_of(const PaneAggregationSpec& spec,
                                  const std::optional<Field>& time) {
  const auto* fixed = std::get_if<WindowSpec>(&spec.windows);
  if (fixed == nullptr) return std::nullopt;
  return Slicing::of(*fixed, time->type);
}

// A window of counted records is complete with its last one, which is no matter of time.
TriggerSpec trigger_of(const PaneAggregationSpec& spec) {
  TriggerSpec trigger = spec.trigger;
  if (counted_of(spec) > 0) trigger.fires_on_close = false;
  return trigger;
}

std::optional<DataType> type_of(const std::optional<Field>& field) {
  return field ? std::optional(field->type) : std::nullopt;
}

}  // namespace

PaneAggregation::PaneAggregation(const PaneAggregationSpec& spec, SchemaPtr input)
    : spec_(checked(spec, *input)),
      input_(input),
      time_field_(time_field_of(spec_, *input)),
      slicing_(slicing_of(spec_, time_field_)),
      counted_(counted_of(spec_)),
      // Panes have rows of their own also when there is one key only.
      layout_(make_layout(spec_.aggregates, *input, true)),
      results_(&layout_, *input, spec_.key_columns, type_of(time_field_)),
      keys_(key_types(spec_.key_columns, *input)),
      table_(&layout_),
      spec_trigger_(trigger_of(spec_)),
      trigger_(spec_.own_trigger ? spec_.own_trigger.get() : &spec_trigger_),
      compact_at_(state::kCompactMinKeys),
      times_(time_field_ ? time_field_->name : ""),
      accumulator_(&layout_),
      pane_buffer_(&layout_) {
  if (const auto* session = std::get_if<SessionSpec>(&spec_.windows)) {
    gaps_.emplace(*session, *input, *time_field_);
  }
}

void PaneAggregation::set_stop(StopSignal* stop) {
  if (spec_.own_trigger) own_stop_ = stop;
  stop_check_.set(stop);
}

// Without event time all rows have one: their order is that of arrival.
const int64_t* PaneAggregation::read_times(const RecordBatch& rows) {
  if (!time_field_) {
    no_times_.resize(static_cast<size_t>(rows.num_rows));
    return no_times_.data();
  }
  const int64_t* times = times_.read(rows.columns[static_cast<size_t>(spec_.event_time_column)]);
  if (gaps_) {
    gaps_->check(rows, times);
  } else if (slicing_) {
    times_.check_windows(times, rows.num_rows, slicing_->lowest_time(), slicing_->highest_time());
  } else {
    times_.check_last(times, rows.num_rows, time_field_->type);
  }
  return times;
}

int64_t PaneAggregation::add(const RecordBatch& rows, const RowWatermarks& watermarks,
                             std::vector<int32_t>* late, const EmitPanes& emit) {
  const int64_t count = rows.num_rows;
  if (count == 0) return 0;
  const int64_t* times = read_times(rows);
  std::vector<const Array*> key_columns;
  for (const int key : spec_.key_columns) {
    key_columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  key_ids_.resize(static_cast<size_t>(count));
  row_panes_.resize(static_cast<size_t>(count));
  keys_.find_or_insert(key_columns, count, key_ids_.data());
  panes_.reserve_keys(keys_.size());
  batch_ = {&rows, times, key_ids_.data(), watermarks.first_arrival};
  run_begin_ = 0;
  behind_ = 0;

  const WatermarkView in_force{watermarks.all, watermarks.per_row.as<int64_t>()};
  for (int64_t row = 0; row < count; ++row) {
    if (in_force[row] > panes_.watermark()) pass(in_force[row], row, emit);
    row_panes_[static_cast<size_t>(row)] = kNoPane;
    if (!add_to_windows(row, emit)) late->push_back(static_cast<int32_t>(row));
  }
  settle(count);
  table_.settle();
  arrivals_ += count;
  flush(emit);
  return behind_;
}

int64_t PaneAggregation::cleanup_of(int64_t last) const {
  int64_t cleanup;
  if (last == kEndless || __builtin_add_overflow(last, spec_.allowed_lateness, &cleanup)) {
    return kMaxWatermark;
  }
  return cleanup;
}

uint32_t PaneAggregation::open(uint32_t key, uint32_t newer, int64_t start, int64_t last,
                               int64_t row) {
  const uint32_t pane = panes_.open(key, newer, start, last, arrivals_ + row);
  panes_.set_cleanup(pane, cleanup_of(last));
  return pane;
}

bool PaneAggregation::add_to_windows(int64_t row, const EmitPanes& emit) {
  if (slicing_) return add_to_fixed(row, emit);
  if (gaps_) return add_to_session(row, emit);
  const uint32_t key = batch_.keys[row];
  uint32_t pane = panes_.newest(key);
  if (pane == kNoPane) pane = open(key, kNoPane, INT64_MIN, kEndless, row);
  take_in(pane, row, emit);
  return true;
}

bool PaneAggregation::add_to_fixed(int64_t row, const EmitPanes& emit) {
  const int64_t time = batch_.times[row];
  if (slicing_->has_gaps() && slicing_->is_gap(slicing_->slice_of(time))) {
    return !Slicing::is_late_in_gap(time, panes_.watermark(), spec_.allowed_lateness);
  }
  find_fixed(row);
  // Those that end first come first.
  const bool is_one = touched_.size() == 1;
  int64_t ended = 0;
  for (size_t i = touched_.size(); i-- > 0;) {
    ended += panes_.has_ended(touched_[i]) ? 1 : 0;
    take_in(touched_[i], row, emit);
    if (!is_one) settle(row + 1);
    if (!is_one && i > 0) run_begin_ = row;  // the row goes to the next one, too
  }
  if (ended > 1) behind_ -= ended - 1;  // counted by each of them
  return !touched_.empty();
}

// The windows that take the row, the one that ends last first.
void PaneAggregation::find_fixed(int64_t row) {
  touched_.clear();
  const uint32_t key = batch_.keys[row];
  const int64_t slice = slicing_->slice_of(batch_.times[row]);
  uint32_t newer = kNoPane;
  uint32_t at = panes_.newest(key);
  for (int64_t number = slicing_->last_window(slice); number >= slicing_->first_window(slice);
       --number) {
    const int64_t last = slicing_->window_end(number) - 1;
    if (is_forgotten(last)) break;
    while (at != kNoPane && panes_[at].last > last) {
      newer = at;
      at = panes_[at].older;
    }
    if (at == kNoPane || panes_[at].last != last) {
      at = open(key, newer, slicing_->window_start(number), last, row);
    }
    touched_.push_back(at);
    stop_check_();
  }
}

bool PaneAggregation::add_to_session(int64_t row, const EmitPanes& emit) {
  const uint32_t key = batch_.keys[row];
  const int64_t time = batch_.times[row];
  const int64_t end = gaps_->ends() == nullptr ? time + gaps_->constant() : gaps_->ends()[row];
  touched_.clear();
  const auto [newer, newest] = panes_.seek(key, end);
  uint32_t at = newest;
  while (at != kNoPane && panes_[at].last + 1 >= time) {
    touched_.push_back(at);
    at = panes_[at].older;
  }
  if (touched_.empty()) {
    if (is_forgotten(end - 1)) return false;
    take_in(open(key, newer, time, end - 1, row), row, emit);
    return true;
  }
  take_in(merge_touched(row, end), row, emit);
  return true;
}

// The oldest takes in the others, in the order of time, and grows to hold the row.
uint32_t PaneAggregation::merge_touched(int64_t row, int64_t end) {
  const uint32_t target = touched_.back();
  const int64_t time = batch_.times[row];
  Pane& merged = panes_[target];
  if (touched_.size() == 1 && merged.start <= time && end - 1 <= merged.last) return target;
  if (touched_.size() > 1) settle(row);
  panes_.set_start(target, std::min(merged.start, time));
  merged.last = std::max(merged.last, end - 1);
  std::reverse(touched_.begin(), touched_.end());
  for (const uint32_t source : touched_) {
    panes_.clear_timers(source);
    if (source == target) continue;
    const Pane& other = panes_[source];
    merged.last = std::max(merged.last, other.last);
    merged.arrival = std::min(merged.arrival, other.arrival);
    merged.min_time = std::min(merged.min_time, other.min_time);
    merged.max_time = std::max(merged.max_time, other.max_time);
    if (other.held > 0) table_.merge_slots(table_, &target, &source, 1);
    merged.held += other.held;
    merged.taken += other.taken;
  }
  panes_.set_cleanup(target, cleanup_of(merged.last));
  trigger_->on_merge(panes_, target, touched_);
  for (const uint32_t source : touched_) {
    if (source == target) continue;
    purge(source);
    panes_.release(source);
  }
  return target;
}

// The row enters the pane, whose trigger decides what comes of it.
void PaneAggregation::take_in(uint32_t number, int64_t row, const EmitPanes& emit) {
  check_stop();
  row_panes_[static_cast<size_t>(row)] = number;
  const int64_t time = batch_.times[row];
  Pane& pane = panes_[number];
  ++pane.taken;
  ++pane.held;
  pane.min_time = std::min(pane.min_time, time);
  pane.max_time = std::max(pane.max_time, time);
  behind_ += panes_.has_ended(number) ? 1 : 0;
  const bool is_complete = pane.taken == counted_;
  TriggerResult result = trigger_->on_element(panes_, number, row, time);
  if (is_complete) result = TriggerResult::kFireAndPurge;
  if (result != TriggerResult::kContinue) {
    settle(row + 1);
    act(number, result, panes_.watermark(), emit);
  }
  if (is_complete) forget(number);
}

// Adds up the rows from run_begin_ to `end`, each in its pane.
void PaneAggregation::settle(int64_t end) {
  if (run_begin_ >= end) return;
  RowRange rows{run_begin_, end - run_begin_, nullptr, batch_.times, batch_.first_arrival};
  const auto begin = row_panes_.begin();
  if (std::find(begin + run_begin_, begin + end, kNoPane) != begin + end) {
    run_rows_.clear();
    for (int64_t row = run_begin_; row < end; ++row) {
      if (row_panes_[static_cast<size_t>(row)] != kNoPane) {
        run_rows_.push_back(static_cast<int32_t>(row));
      }
    }
    rows.begin = 0;
    rows.count = static_cast<int64_t>(run_rows_.size());
    rows.indices = run_rows_.data();
  }
  run_begin_ = end;
  if (rows.count == 0) return;
  table_.prepare(panes_.size(), true);
  accumulator_.add(&table_, *batch_.rows, row_panes_.data(), rows);
}

// Moves the watermark on; rows before `row` have come, and their sums may be asked for.
void PaneAggregation::pass(int64_t watermark, int64_t row, const EmitPanes& emit) {
  int64_t before = panes_.watermark();
  panes_.pass(watermark, [&](uint32_t pane, int64_t time) {
    check_stop();
    settle(row);
    const bool is_over = panes_[pane].cleanup <= time && time != kMaxWatermark;
    // A pane at time t exists from the first watermark at or after t on; one at the end of the
    // input from there.
    if (time != kMaxWatermark && time != kMinWatermark) before = std::max(before, time - 1);
    act(pane, trigger_->on_event_time(panes_, pane, time), before, emit);
    if (is_over) forget(pane);
  });
}

// `watermark` is what operators below see before the pane.
void PaneAggregation::act(uint32_t number, TriggerResult result, int64_t watermark,
                          const EmitPanes& emit) {
  const Pane& pane = panes_[number];
  if (fires(result) && pane.held > 0) {
    const bool has_end = pane.last != kEndless;
    pane_buffer_.add(table_, number,
                     {pane.key, has_end ? pane.start : pane.min_time,
                      (has_end ? pane.last : pane.max_time) + 1, watermark});
    if (pane_buffer_.is_full()) flush(emit);
  }
  const bool discards = fires(result) && spec_.trigger.is_discarding;  // Flink's PurgingTrigger
  if (purges(result) || discards) purge(number);
}

void PaneAggregation::purge(uint32_t number) {
  Pane& pane = panes_[number];
  if (pane.held == 0) return;
  table_.clear_rows({&number, 1});
  pane.held = 0;
  pane.min_time = INT64_MAX;
  pane.max_time = INT64_MIN;
}

void PaneAggregation::forget(uint32_t number) {
  trigger_->clear(panes_, number);
  purge(number);
  panes_.release(number);
}

void PaneAggregation::advance(int64_t watermark, const EmitPanes& emit) {
  if (watermark <= panes_.watermark()) return;
  pass(watermark, run_begin_, emit);
  flush(emit);
  compact_keys();
}

// Forgets keys that have no pane any more, when they are most of all.
void PaneAggregation::compact_keys() {
  const auto size = static_cast<int64_t>(keys_.size());
  if (size < compact_at_) return;
  std::vector<uint8_t> live(keys_.size());
  panes_.mark_keys(live);
  const int64_t alive = std::count(live.begin(), live.end(), 1);
  compact_at_ = std::max(state::kCompactMinKeys, 2 * alive);
  if (alive * 2 >= size) {
    compact_at_ = std::max(compact_at_, size + size / 2);
    return;
  }
  const std::vector<uint32_t> new_ids = keys_.compact(live);
  panes_.remap_keys(new_ids, keys_.size());
}

std::string PaneAggregation::describe(uint32_t number) const {
  const Pane& pane = panes_[number];
  const bool has_end = pane.last != kEndless;
  const auto [key, window] =
      results_.place_of(keys_, pane.key, pane.start, has_end ? pane.last + 1 : 0);
  if (!has_end) return key.empty() ? "the window" : "the window of " + key;
  return (key.empty() ? "" : key + " in ") + "window" + window;
}

int64_t PaneAggregation::state_bytes() const {
  return keys_.bytes() + panes_.bytes() + table_.bytes() + pane_buffer_.bytes() +
         spec_trigger_.bytes();
}

}  // namespace pystream::windows
