#include "windows/window_aggregation.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "state/limits.hpp"
#include "windows/window_aggregation_state.hpp"

namespace pystream::windows {

namespace {

const DataType& checked_time_type(const WindowAggregationSpec& spec, const Schema& input) {
  key_types(spec.key_columns, input);
  return event_time_field(spec.event_time_column, input).type;
}

}  // namespace

WindowAggregation::State::State(const WindowAggregationSpec& given, SchemaPtr input_schema,
                                int threads)
    : spec(given),
      input(std::move(input_schema)),
      time_type(checked_time_type(spec, *input)),
      slicing(Slicing::of(spec.window, time_type)),
      layout(make_layout(spec.aggregates, *input, !spec.key_columns.empty())),
      results(&layout, *input, spec.key_columns, time_type),
      sealed(&layout),
      fired(&layout),
      accumulator(&layout),
      panes(&layout) {
  check_allowed_lateness(spec.allowed_lateness);
  if (threads < 1) {
    throw Error(ErrorCode::kConfig,
                "threads is " + std::to_string(threads) + ". Use at least one.");
  }
  for (int thread = 0; thread < threads; ++thread) {
    partials.emplace_back(&spec, *input, &slicing, &layout, threads > 1);
  }
  partial_look_at.assign(static_cast<size_t>(threads), state::kCompactMinKeys);
  if (threads > 1) {
    merged_keys.emplace(key_types(spec.key_columns, *input));
    merged_ids.resize(static_cast<size_t>(threads));
  }
}

// Gives merged ids to the keys that threads have seen since the last time, in the order in which
// they came, whatever the thread: the keys of a window are shown in the order of their ids.
void WindowAggregation::State::merge_keys() {
  if (!is_merging()) return;
  for (;;) {
    // The thread whose next key came first, and when that of the next thread did.
    size_t first = partials.size();
    int64_t earliest = INT64_MAX;
    int64_t next = INT64_MAX;
    for (size_t thread = 0; thread < partials.size(); ++thread) {
      const std::vector<int64_t>& arrivals = partials[thread].first_arrivals();
      const size_t known = std::max<size_t>(merged_ids[thread].size(), 1);
      if (known == arrivals.size()) continue;
      if (first == partials.size() || arrivals[known] < earliest) {
        next = first == partials.size() ? INT64_MAX : earliest;
        first = thread;
        earliest = arrivals[known];
      } else {
        next = std::min(next, arrivals[known]);
      }
    }
    if (first == partials.size()) break;
    const std::vector<int64_t>& arrivals = partials[first].first_arrivals();
    std::vector<uint32_t>& ids = merged_ids[first];
    const size_t known = ids.size();
    const auto end =
        std::upper_bound(arrivals.begin() + static_cast<std::ptrdiff_t>(std::max<size_t>(known, 1)),
                         arrivals.end(), next);
    ids.resize(static_cast<size_t>(end - arrivals.begin()));
    merged_keys->translate(partials[first].keys(), static_cast<uint32_t>(known),
                           static_cast<uint32_t>(ids.size()), ids.data() + known);
  }
  for (std::vector<uint32_t>& ids : merged_ids) ids.resize(std::max<size_t>(ids.size(), 1));
}

void WindowAggregation::State::merge_into(std::optional<AccumulatorTable>* target, size_t thread,
                                          AccumulatorTable&& table) {
  if (!is_merging()) {
    *target = std::move(table);
    return;
  }
  const uint32_t* ids = merged_ids[thread].data();
  if (!*target) target->emplace(&layout);
  (*target)->merge(table, ids, keys().size());
}

// The rows of an open slice from all threads; nothing when there are none.
std::optional<AccumulatorTable> WindowAggregation::State::seal(int64_t slice) {
  std::optional<AccumulatorTable> table;
  for (size_t thread = 0; thread < partials.size(); ++thread) {
    auto& slices = partials[thread].slices();
    const auto open = slices.find(slice);
    if (open == slices.end()) continue;
    merge_into(&table, thread, std::move(open->second));
    slices.erase(open);
  }
  return table;
}

// Rows that were late for windows before `window` join those that it will be merged from.
void WindowAggregation::State::take_late(int64_t window) {
  for (size_t thread = 0; thread < partials.size(); ++thread) {
    auto& late = partials[thread].late_slices();
    while (!late.empty() && late.begin()->first.first <= window) {
      std::optional<AccumulatorTable> table;
      merge_into(&table, thread, std::move(late.begin()->second));
      sealed.add_late(late.begin()->first.second, std::move(*table), keys().size());
      late.erase(late.begin());
    }
  }
}

// The first unfired window that has rows.
std::optional<int64_t> WindowAggregation::State::next_window() const {
  std::optional<int64_t> next;
  const auto consider = [&](int64_t window) {
    window = std::max(window, first_unfired);
    if (!next || window < *next) next = window;
  };
  const std::optional<int64_t> last = sealed.last_slice();
  if (last && slicing.last_window(*last) >= first_unfired) consider(first_unfired);
  for (const PartialState& partial : partials) {
    if (!partial.slices().empty()) {
      consider(slicing.first_window(partial.slices().begin()->first));
    }
    if (!partial.late_slices().empty()) consider(partial.late_slices().begin()->first.first);
  }
  return next;
}

void WindowAggregation::State::fire(int64_t window, const EmitWindow& emit) {
  const int64_t start = slicing.window_start(window);
  const int64_t end = slicing.window_end(window);
  if (slicing.slices_per_window() == 1) {
    std::optional<AccumulatorTable> table = seal(slicing.first_slice(window));
    first_unfired = window + 1;
    note_density(results.emit(*table, keys(), start, end, emit));
    if (keeps_fired()) {
      fired.keep(window, *std::move(table));
    } else if (!is_merging()) {
      partials.front().reuse((*std::move(table)).take_storage());
    }
    return;
  }
  sealed.evict_before(slicing.first_slice(window), keys().size());
  take_late(window);
  const int64_t end_slice = slicing.end_slice(window);
  for (;;) {
    int64_t slice = end_slice;
    for (const PartialState& partial : partials) {
      if (!partial.slices().empty()) slice = std::min(slice, partial.slices().begin()->first);
    }
    if (slice >= end_slice) break;
    std::optional<AccumulatorTable> table = seal(slice);
    state::LargeArray<uint8_t> freed;
    const int64_t slice_keys = table->compress(&freed);
    if (!is_merging()) partials.front().reuse(std::move(freed));
    note_density(slice_keys);
    sealed.push(slice, std::move(*table), slice_keys, keys().size());
  }
  first_unfired = window + 1;
  AccumulatorTable total = sealed.total(keys().size());
  const int64_t total_keys = results.emit(total, keys(), start, end, emit);
  if (!keeps_fired()) return sealed.done(std::move(total), total_keys);
  if (total_keys > 0) fired.keep(window, std::move(total));
  sealed.done(AccumulatorTable(&layout), total_keys);
}

// Fires what the watermark closes, and forgets what it closes for good; whether anything fired.
bool WindowAggregation::State::fire_until(int64_t new_watermark, const EmitWindow& emit) {
  watermark = new_watermark;
  merge_keys();
  const int64_t last_closed = slicing.last_closed_window(watermark);
  bool has_fired = false;
  for (;;) {
    const std::optional<int64_t> window = next_window();
    if (!window || *window > last_closed) break;
    fire(*window, emit);
    has_fired = true;
  }
  if (last_closed != INT64_MAX) first_unfired = std::max(first_unfired, last_closed + 1);
  const std::optional<int64_t> last = sealed.last_slice();
  if (last && slicing.last_window(*last) < first_unfired) sealed.clear();
  if (keeps_fired()) {
    fired.forget_through(slicing.last_cleaned_window(watermark, spec.allowed_lateness));
  }
  return has_fired;
}

// Adds a row behind the watermark to its windows, and fires those that have fired.
void WindowAggregation::State::add_one(const RecordBatch& rows, const RowRange& row,
                                       const uint32_t* ids) {
  const uint32_t key = ids[row.begin];
  const int64_t slice = slicing.slice_of(row.times[row.begin]);
  const int64_t last = slicing.last_window(slice);
  const int64_t last_closed = slicing.last_closed_window(watermark);
  const int64_t first_kept = slicing.last_cleaned_window(watermark, spec.allowed_lateness) + 1;
  const auto add_to = [&](AccumulatorTable* table) {
    table->prepare(keys().size(), false);
    accumulator.add(table, rows, ids, row);
  };
  int64_t window = std::max(slicing.first_window(slice), first_kept);
  for (; window <= std::min(last, last_closed); ++window) {
    AccumulatorTable* content = fired.content(window);
    add_to(content);
    uint32_t scratch;
    const uint32_t slot = *content->slots(&key, 1, &scratch);
    panes.add(*content, slot,
              {key, slicing.window_start(window), slicing.window_end(window), watermark});
  }
  if (window <= last) add_to(sealed.late(slice));
}

// Windows come and go, and so do keys. Now and then those that are in no table are forgotten, so
// that a job over ever new keys holds only those of its open windows.
void WindowAggregation::State::compact_keys() {
  for (size_t thread = 0; thread < partials.size(); ++thread) compact_partial(thread);
  if (is_merging()) compact_merged();
}

// True when so few ids of a dictionary are live that it is worth closing up; sets the size at which
// to look again otherwise.
bool WindowAggregation::State::is_mostly_dead(std::span<const uint8_t> live, int64_t* look_at) {
  const auto size = static_cast<int64_t>(live.size());
  const int64_t alive = std::count(live.begin(), live.end(), 1);
  const bool result = alive * 2 < size;
  *look_at = std::max({state::kCompactMinKeys, 2 * alive, result ? 0 : size + size / 2});
  return result;
}

void WindowAggregation::State::compact_partial(size_t thread) {
  PartialState& partial = partials[thread];
  if (partial.keys().size() < partial_look_at[thread]) return;
  std::vector<uint8_t> live(partial.keys().size());
  for (const auto& [slice, table] : partial.slices()) table.mark(&live);
  for (const auto& [place, table] : partial.late_slices()) table.mark(&live);
  if (!is_merging()) {
    for_each_merged([&](const AccumulatorTable& table) { table.mark(&live); });
  }
  if (!is_mostly_dead(live, &partial_look_at[thread])) return;
  const std::vector<uint32_t> new_ids = partial.compact(live);
  if (is_merging()) {
    merged_ids[thread].clear();
  } else {
    for_each_merged([&](AccumulatorTable& table) { table.remap(new_ids); });
  }
}

void WindowAggregation::State::compact_merged() {
  if (merged_keys->size() < merged_look_at) return;
  std::vector<uint8_t> live(merged_keys->size());
  for_each_merged([&](const AccumulatorTable& table) { table.mark(&live); });
  if (is_mostly_dead(live, &merged_look_at)) {
    const std::vector<uint32_t> new_ids = merged_keys->compact(live);
    for_each_merged([&](AccumulatorTable& table) { table.remap(new_ids); });
    for (std::vector<uint32_t>& ids : merged_ids) ids.clear();
  }
  // Each thread's keys come back when its next slice is sealed.
  int64_t returning = 0;
  for (const PartialState& partial : partials) returning += partial.keys().size();
  merged_look_at = std::max(merged_look_at, 2 * returning);
}

WindowAggregation::WindowAggregation(const WindowAggregationSpec& spec, SchemaPtr input,
                                     int threads)
    : state_(std::make_unique<State>(spec, std::move(input), threads)) {}

WindowAggregation::~WindowAggregation() = default;

const SchemaPtr& WindowAggregation::output_schema() const { return state_->results.schema(); }

bool WindowAggregation::may_be_late(int64_t min_time, int64_t watermark) const {
  const Slicing& slicing = state_->slicing;
  // add() refuses times outside, so they must be looked at.
  if (min_time < slicing.lowest_time() || min_time > slicing.highest_time()) return true;
  if (slicing.has_gaps()) return min_time <= watermark;
  const int64_t first_end = slicing.window_end(slicing.first_window(slicing.slice_of(min_time)));
  return first_end - 1 <= watermark;
}

void WindowAggregation::add(int thread, const RecordBatch& rows, const RowWatermarks& watermarks,
                            std::vector<int32_t>* late, std::vector<int32_t>* behind) {
  state_->partials[static_cast<size_t>(thread)].add(rows, watermarks, state_->watermark,
                                                    state_->expects_dense, late, behind);
}

void WindowAggregation::add_behind(const RecordBatch& rows, const RowWatermarks& watermarks,
                                   const EmitWindow& emit, const EmitPanes& emit_panes) {
  State& state = *state_;
  PartialState& scratch = state.partials.front();
  const int64_t* times = scratch.times_of(rows).values;
  std::vector<uint32_t> ids(static_cast<size_t>(rows.num_rows));
  state.merge_keys();  // those of the rows are among the threads'
  state.keys().find_or_insert(scratch.keys_of(rows), rows.num_rows, ids.data());
  const auto flush = [&] { state.panes.flush(state.results, state.keys(), emit_panes); };
  const auto emit_in_order = [&](RecordBatch&& batch) {
    flush();
    emit(std::move(batch));
  };
  const WatermarkView in_force{watermarks.all, watermarks.per_row.as<int64_t>()};
  for (int64_t row = 0; row < rows.num_rows; ++row) {
    if (in_force[row] > state.watermark) state.fire_until(in_force[row], emit_in_order);
    const int64_t arrival = watermarks.arrivals ? watermarks.arrivals.as<int64_t>()[row] : row;
    state.add_one(rows, {row, 1, nullptr, times, arrival - row}, ids.data());
    if (state.panes.is_full()) flush();
  }
  flush();
}

void WindowAggregation::advance(int64_t watermark, const EmitWindow& emit) {
  State& state = *state_;
  if (watermark <= state.watermark) return;
  if (state.fire_until(watermark, emit)) state.compact_keys();
}

void WindowAggregation::settle() {
  for (PartialState& partial : state_->partials) partial.settle();
  state_->for_each_merged([](const AccumulatorTable& table) { table.settle(); });
}

std::optional<int64_t> WindowAggregation::next_timer() const {
  const std::optional<int64_t> window = state_->next_window();
  if (!window) return std::nullopt;
  return state_->slicing.window_end(*window) - 1;
}

void WindowAggregation::snapshot(state::StateWriter* writer) { state_->snapshot(writer); }

void WindowAggregation::restore(const state::StateReader& reader, state::KeyGroupRange range) {
  auto fresh = std::make_unique<State>(state_->spec, state_->input,
                                       static_cast<int>(state_->partials.size()));
  fresh->restore(reader, range);
  state_ = std::move(fresh);
}

int64_t WindowAggregation::state_bytes() const {
  State& state = *state_;
  int64_t total = 0;
  for (const PartialState& partial : state.partials) total += partial.bytes();
  if (state.merged_keys) total += state.merged_keys->bytes();
  state.for_each_merged([&](AccumulatorTable& table) { total += table.bytes(); });
  return total + state.panes.bytes();
}

int64_t WindowAggregation::open_slices() const {
  int64_t total = state_->sealed.size();
  for (const PartialState& partial : state_->partials) {
    total += static_cast<int64_t>(partial.slices().size());
  }
  return total;
}

}  // namespace pystream::windows
