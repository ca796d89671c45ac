#include "windows/triggered_aggregation.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "state/limits.hpp"
#include "windows/accumulator_values.hpp"

namespace pystream::windows {

namespace {

// Panes that are copied at once.
constexpr int64_t kFireBlock = 4096;

const WindowAggregationSpec& checked(const WindowAggregationSpec& spec) {
  check(spec.trigger);
  check_allowed_lateness(spec.allowed_lateness);
  return spec;
}

}  // namespace

TriggeredAggregation::TriggeredAggregation(const WindowAggregationSpec& spec, SchemaPtr input)
    : spec_(checked(spec)),
      input_(std::move(input)),
      time_type_(event_time_field(spec.event_time_column, *input_).type),
      slicing_(Slicing::of(spec.window, time_type_)),
      // A window's keys have rows of their own also when there is one key only.
      layout_(make_layout(spec.aggregates, *input_, true)),
      results_(&layout_, *input_, spec.key_columns, time_type_),
      keys_(key_types(spec.key_columns, *input_)),
      compact_at_(state::kCompactMinKeys),
      times_(event_time_field(spec.event_time_column, *input_).name),
      accumulator_(&layout_),
      panes_(&layout_) {}

int64_t TriggeredAggregation::add(const RecordBatch& rows, const RowWatermarks& watermarks,
                                  std::vector<int32_t>* late, const EmitPanes& emit) {
  const int64_t count = rows.num_rows;
  if (count == 0) return 0;
  const int64_t* times = times_.read(rows.columns[static_cast<size_t>(spec_.event_time_column)]);
  times_.check_windows(times, count, slicing_.lowest_time(), slicing_.highest_time());
  std::vector<const Array*> key_columns;
  for (const int key : spec_.key_columns) {
    key_columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  key_ids_.resize(static_cast<size_t>(count));
  keys_.find_or_insert(key_columns, count, key_ids_.data());
  locals_.resize(static_cast<size_t>(count));

  const WatermarkView in_force{watermarks.all, watermarks.per_row.as<int64_t>()};
  const Batch batch{rows, times, in_force, key_ids_.data(), watermarks.first_arrival};
  int64_t behind = 0;
  for (int64_t row = 0; row < count;) {
    pass(in_force[row], emit);
    const int64_t slice = slicing_.slice_of(times[row]);
    if (slicing_.is_gap(slice)) {
      if (Slicing::is_late_in_gap(times[row], watermark_, spec_.allowed_lateness)) {
        late->push_back(static_cast<int32_t>(row));
      }
      ++row;
      continue;
    }
    const Takers takers = takers_of(slice);
    const bool is_behind = takers.closed >= takers.first;
    if (takers.first > takers.last) {
      late->push_back(static_cast<int32_t>(row++));
    } else if (is_behind || spec_.trigger.every > 0) {
      behind += is_behind ? 1 : 0;
      add_one(batch, row++, takers, emit);
    } else {
      const int64_t end = run_end(batch, row, slice);
      add_run(batch, row, end, takers);
      row = end;
    }
  }
  flush(emit);
  for (const auto& [number, window] : windows_) window.table.settle();
  return behind;
}

TriggeredAggregation::Takers TriggeredAggregation::takers_of(int64_t slice) {
  const int64_t first = slicing_.first_window(slice);
  const int64_t last = slicing_.last_window(slice);
  if (watermark_ < slicing_.window_end(first) - 1) return {first, first - 1, last};
  const int64_t closed = slicing_.last_closed_window(watermark_);
  const int64_t cleaned = slicing_.last_cleaned_window(watermark_, spec_.allowed_lateness);
  if (cleaned >= last) return {last + 1, last, last};
  first_unclosed_ = std::max(first_unclosed_, closed + 1);
  return {std::max(first, cleaned + 1), std::min(closed, last), last};
}

// Behind the last row that goes with row `begin`: they are of one slice, and the watermark fires
// nothing before any of them.
int64_t TriggeredAggregation::run_end(const Batch& batch, int64_t begin, int64_t slice) const {
  const SliceBounds bounds = slicing_.bounds(slice);
  int64_t moment = std::min(next_moment_, slicing_.window_end(slicing_.first_window(slice)) - 1);
  const int64_t interval = spec_.trigger.every_ticks;
  // The timer that a row may start, and the first time that starts the same one.
  int64_t timer = kMinWatermark;
  int64_t timer_from = kMaxWatermark;
  int64_t row = begin;
  do {
    const int64_t time = batch.times[row];
    if (interval > 0 && (time < timer_from || time >= timer)) {
      timer = first_timer(time);
      timer_from = timer == kMaxWatermark ? timer : timer - interval;
      moment = std::min(moment, timer);
    }
    ++row;
  } while (row < batch.rows.num_rows &&
           static_cast<uint64_t>(batch.times[row]) - static_cast<uint64_t>(bounds.begin) <
               static_cast<uint64_t>(bounds.length) &&
           batch.watermarks[row] < moment);
  return row;
}

void TriggeredAggregation::add_run(const Batch& batch, int64_t begin, int64_t end,
                                   const Takers& takers) {
  const int64_t count = end - begin;
  words_.assign(batch.keys + begin, batch.keys + end);
  auto place = windows_.lower_bound(takers.first);
  for (int64_t number = takers.first; number <= takers.last; ++number) {
    stop_check_();
    place = window_at(place, number, false);
    Window& window = place->second;
    window.keys.find_or_insert(words_.data(), count, locals_.data() + begin);
    window.table.prepare(window.keys.size(), true);
    accumulator_.add(&window.table, batch.rows, locals_.data(),
                     {begin, count, nullptr, batch.times, batch.first_arrival});
    if (spec_.trigger.every_ticks > 0 && window.timed < window.keys.size()) {
      for (int64_t row = begin; row < end; ++row) {
        const uint32_t local = locals_[static_cast<size_t>(row)];
        if (local < window.timed) continue;
        schedule(first_timer(batch.times[row]), *place, local);
        ++window.timed;
      }
    }
    ++place;
  }
}

void TriggeredAggregation::add_one(const Batch& batch, int64_t row, const Takers& takers,
                                   const EmitPanes& emit) {
  const uint64_t key = batch.keys[row];
  auto place = windows_.lower_bound(takers.first);
  for (int64_t number = takers.first; number <= takers.last; ++number) {
    stop_check_();
    const bool is_closed = number <= takers.closed;
    place = window_at(place, number, is_closed);
    Window& window = place->second;
    uint32_t& local = locals_[static_cast<size_t>(row)];
    window.keys.find_or_insert(&key, 1, &local);
    window.table.prepare(window.keys.size(), true);
    accumulator_.add(&window.table, batch.rows, locals_.data(),
                     {row, 1, nullptr, batch.times, batch.first_arrival});
    bool fires = is_closed;
    if (!is_closed && spec_.trigger.every > 0) {
      window.since_fired.resize(window.keys.size());
      int64_t& since = window.since_fired[local];
      fires = ++since >= spec_.trigger.every;
      if (fires) since = 0;
    }
    if (!is_closed && spec_.trigger.every_ticks > 0 && local >= window.timed) {
      schedule(first_timer(batch.times[row]), *place, local);
      ++window.timed;
    }
    if (fires) fire_one(&window, local, static_cast<uint32_t>(key), emit);
    ++place;
  }
}

// `place` is where the window is, or would be.
TriggeredAggregation::Windows::iterator TriggeredAggregation::window_at(Windows::iterator place,
                                                                        int64_t number,
                                                                        bool is_closed) {
  if (place != windows_.end() && place->first == number) return place;
  place = windows_.try_emplace(place, number, &layout_, slicing_.window_start(number),
                               slicing_.window_end(number));
  if (!is_closed) next_moment_ = std::min(next_moment_, place->second.end - 1);
  return place;
}

// The first multiple of the interval after a record; the largest time when there is none.
int64_t TriggeredAggregation::first_timer(int64_t time) const {
  const int64_t interval = spec_.trigger.every_ticks;
  if (interval == 0) return kMaxWatermark;
  int64_t within = time % interval;
  if (within < 0) within += interval;
  int64_t next;
  return __builtin_add_overflow(time, interval - within, &next) ? kMaxWatermark : next;
}

// The close of a window needs no timer.
void TriggeredAggregation::schedule(int64_t time, const Windows::value_type& window,
                                    uint32_t local) {
  if (time >= window.second.end - 1) return;
  timers_[{time, window.first}].push_back(local);
  next_moment_ = std::min(next_moment_, time);
}

void TriggeredAggregation::find_next_moment() {
  const auto unclosed = windows_.lower_bound(first_unclosed_);
  next_moment_ = unclosed == windows_.end() ? kMaxWatermark : unclosed->second.end - 1;
  if (!timers_.empty()) next_moment_ = std::min(next_moment_, timers_.begin()->first.first);
}

// Moves the watermark on, and fires what that reaches in order of time; of equal times the window
// that ends first.
void TriggeredAggregation::pass(int64_t watermark, const EmitPanes& emit) {
  if (watermark <= watermark_) return;
  const int64_t before = std::exchange(watermark_, watermark);
  if (watermark < next_moment_) return;
  for (;;) {
    stop_check_();
    find_next_moment();
    const auto unclosed = windows_.lower_bound(first_unclosed_);
    const bool is_any = unclosed != windows_.end() || !timers_.empty();
    if (!is_any || next_moment_ > watermark) break;
    // A timer of a window is before its end: at the same time, another window's end comes first.
    if (unclosed != windows_.end() && unclosed->second.end - 1 == next_moment_) {
      close(unclosed, before, emit);
    } else {
      fire_timer(before, emit);
    }
  }
  const int64_t cleaned = slicing_.last_cleaned_window(watermark, spec_.allowed_lateness);
  windows_.erase(windows_.begin(), windows_.upper_bound(cleaned));
}

void TriggeredAggregation::fire_timer(int64_t watermark_before, const EmitPanes& emit) {
  const auto timer = timers_.extract(timers_.begin());
  const auto [time, number] = timer.key();
  const std::vector<uint32_t>& locals = timer.mapped();
  const auto window = windows_.find(number);
  int64_t next;
  if (!__builtin_add_overflow(time, spec_.trigger.every_ticks, &next) &&
      next < window->second.end - 1) {
    std::vector<uint32_t>& later = timers_[{next, number}];
    later.insert(later.end(), locals.begin(), locals.end());
  }
  fire(&window->second, locals.data(), static_cast<int64_t>(locals.size()),
       std::max(watermark_before, time - 1), emit);
}

void TriggeredAggregation::close(Windows::iterator window, int64_t watermark_before,
                                 const EmitPanes& emit) {
  first_unclosed_ = window->first + 1;
  if (spec_.trigger.fires_on_close) {
    std::vector<uint32_t> locals(window->second.keys.size() - 1);
    std::iota(locals.begin(), locals.end(), 1u);
    fire(&window->second, locals.data(), static_cast<int64_t>(locals.size()),
         std::max(watermark_before, window->second.end - 2), emit);
  }
  if (spec_.allowed_lateness == 0) windows_.erase(window);
}

// A row fires the window of its key.
void TriggeredAggregation::fire_one(Window* window, uint32_t local, uint32_t key,
                                    const EmitPanes& emit) {
  panes_.add(window->table, local, {key, window->start, window->end, watermark_});
  if (spec_.trigger.is_discarding) window->table.clear_rows({&local, 1});
  if (panes_.is_full()) flush(emit);
}

// Emits panes of those keys of a window that have rows; below, `watermark` is in force for them.
void TriggeredAggregation::fire(Window* window, const uint32_t* locals, int64_t count,
                                int64_t watermark, const EmitPanes& emit) {
  const RowBlock rows = window->table.rows();
  for (int64_t begin = 0; begin < count; begin += kFireBlock) {
    fired_.clear();
    for (int64_t i = begin; i < std::min(count, begin + kFireBlock); ++i) {
      if (load<int64_t>(rows.at(locals[i])) > 0) fired_.push_back(locals[i]);
    }
    panes_.add_all(window->table, fired_, window->keys.keys(),
                   {0, window->start, window->end, watermark});
    if (spec_.trigger.is_discarding) window->table.clear_rows(fired_);
    if (panes_.is_full()) flush(emit);
  }
}

void TriggeredAggregation::advance(int64_t watermark, const EmitPanes& emit) {
  pass(watermark, emit);
  flush(emit);
  compact_keys();
}

std::vector<uint8_t> TriggeredAggregation::live_keys() const {
  std::vector<uint8_t> live(keys_.size());
  for (const auto& [number, window] : windows_) {
    for (uint32_t local = 1; local < window.keys.size(); ++local) {
      live[window.keys.keys()[local]] = 1;
    }
  }
  return live;
}

// Forgets keys that are in no window any more, when they are most of all.
void TriggeredAggregation::compact_keys() {
  const auto size = static_cast<int64_t>(keys_.size());
  if (size < compact_at_) return;
  const std::vector<uint8_t> live = live_keys();
  const int64_t alive = std::count(live.begin(), live.end(), 1);
  compact_at_ = std::max(state::kCompactMinKeys, 2 * alive);
  if (alive * 2 >= size) {
    compact_at_ = std::max(compact_at_, size + size / 2);
    return;
  }
  const std::vector<uint32_t> new_ids = keys_.compact(live);
  for (auto& [number, window] : windows_) {
    words_.clear();
    for (uint32_t local = 1; local < window.keys.size(); ++local) {
      words_.push_back(new_ids[window.keys.keys()[local]]);
    }
    window.keys.assign(words_);
  }
}

int64_t TriggeredAggregation::state_bytes() const {
  int64_t total = keys_.bytes() + panes_.bytes();
  for (const auto& [number, window] : windows_) {
    total += window.keys.bytes() + window.table.bytes() +
             static_cast<int64_t>(window.since_fired.capacity() * sizeof(int64_t));
  }
  for (const auto& [place, locals] : timers_) {
    total += static_cast<int64_t>(locals.capacity() * sizeof(uint32_t));
  }
  return total;
}

}  // namespace pystream::windows
