#include "windows/count_aggregation.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "state/key_dictionary.hpp"
#include "windows/accumulator_layout.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/count_slices.hpp"
#include "windows/event_times.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

namespace {

// Fewer keys or slices than this are not worth closing up.
constexpr int64_t kCompactMin = 65536;
// Slices of complete windows that are noted before these are merged.
constexpr size_t kMaxParts = size_t{1} << 20;

CountAggregationSpec checked(CountAggregationSpec spec, const Schema& input) {
  key_types(spec.key_columns, input);
  if (spec.size < 1 || spec.slide < 1 || spec.slide > spec.size) {
    throw Error(ErrorCode::kConfig, "count windows have the size " + std::to_string(spec.size) +
                                        " and the slide " + std::to_string(spec.slide) +
                                        ". Use at least one record, and at most the size.");
  }
  return spec;
}

std::optional<Field> time_field_of(const CountAggregationSpec& spec, const Schema& input) {
  if (spec.event_time_column < 0) return std::nullopt;
  return event_time_field(spec.event_time_column, input);
}

std::optional<DataType> type_of(const std::optional<Field>& field) {
  return field ? std::optional(field->type) : std::nullopt;
}

}  // namespace

// Rows of a batch get their slices one by one, and are accumulated together. Then the windows that
// were completed meanwhile are merged from their slices: no later row is in those.
struct CountAggregation::State {
  State(const CountAggregationSpec& given, const SchemaPtr& input)
      : spec(checked(given, *input)),
        // From the end of a window to the edge at which a later one begins.
        begin_phase((spec.slide - spec.size % spec.slide) % spec.slide),
        time_field(time_field_of(spec, *input)),
        layout(make_layout(spec.aggregates, *input, true)),
        results(&layout, *input, spec.key_columns, type_of(time_field)),
        keys(key_types(spec.key_columns, *input)),
        table(&layout),
        times(time_field ? time_field->name : ""),
        accumulator(&layout) {}

  // A window that is complete: its slices stand in `parts` from `first` on.
  struct Window {
    uint32_t key;
    size_t first;
    int64_t row;  // that completed it
    int64_t start;
    int64_t end;
  };

  const int64_t* read_times(const RecordBatch& rows);
  void count(uint32_t key, int64_t row, int64_t time);
  void complete(uint32_t key, int64_t row);
  void settle(const RecordBatch& rows, int64_t begin, int64_t end, const RowWatermarks& watermarks,
              const Emit& emit);
  void emit_some(std::span<const Window> some, size_t parts_end, const RowWatermarks& watermarks,
                 const Emit& emit);
  void compact();
  static bool is_worth_compacting(int64_t size, int64_t alive, int64_t* look_at);

  // Configuration.
  const CountAggregationSpec spec;
  const int64_t begin_phase;
  const std::optional<Field> time_field;
  const AccumulatorLayout layout;
  WindowResults results;

  // State that is checkpointed.
  state::KeyDictionary keys;
  CountSlices slices;
  AccumulatorTable table;  // by slice

  // State that is rebuilt.
  int64_t look_at_keys = kCompactMin;
  int64_t look_at_slices = kCompactMin;

  // Of the batch at work.
  EventTimes times;
  std::vector<int64_t> no_times;
  const int64_t* row_times = nullptr;
  RowAccumulator accumulator;
  std::vector<uint32_t> ids;
  std::vector<uint32_t> row_slices;
  std::vector<Window> windows;
  std::vector<uint32_t> parts;
  std::vector<uint32_t> evicted;

  // Scratch.
  std::vector<uint32_t> result_keys, result_slots, targets;
  std::vector<int64_t> starts, ends;
};

// Without event time all rows have one: their order is that of arrival.
const int64_t* CountAggregation::State::read_times(const RecordBatch& rows) {
  if (!time_field) {
    no_times.resize(static_cast<size_t>(rows.num_rows));
    return no_times.data();
  }
  const int64_t* read = times.read(rows.columns[static_cast<size_t>(spec.event_time_column)]);
  times.check_last(read, rows.num_rows, time_field->type);
  return read;
}

void CountAggregation::State::count(uint32_t key, int64_t row, int64_t time) {
  CountKey& of_key = slices.key(key);
  if (of_key.phase == 0 || of_key.phase == begin_phase) slices.open(key);
  const uint32_t newest = of_key.newest;
  row_slices[static_cast<size_t>(row)] = newest;
  CountSlice& slice = slices[newest];
  slice.min_time = std::min(slice.min_time, time);
  slice.max_time = std::max(slice.max_time, time);
  ++of_key.records;
  if (++of_key.phase == spec.slide) complete(key, row);
}

// The last `size` records of the key are a window; what the next one does not need is evicted.
void CountAggregation::State::complete(uint32_t key, int64_t row) {
  CountKey& of_key = slices.key(key);
  of_key.phase = 0;
  Window window{key, parts.size(), row, INT64_MAX, INT64_MIN};
  for (uint32_t at = of_key.oldest; at != kNoSlice; at = slices[at].newer) {
    parts.push_back(at);
    window.start = std::min(window.start, slices[at].min_time);
    window.end = std::max(window.end, slices[at].max_time);
  }
  if (time_field) ++window.end;
  windows.push_back(window);
  const int64_t next_begin = of_key.records + spec.slide - spec.size;
  while (of_key.oldest != kNoSlice && slices[of_key.oldest].begin < next_begin) {
    evicted.push_back(slices.pop(key));
  }
}

// Accumulates rows [begin, end), emits the windows that are complete, and lets go what they held.
void CountAggregation::State::settle(const RecordBatch& rows, int64_t begin, int64_t end,
                                     const RowWatermarks& watermarks, const Emit& emit) {
  table.prepare(slices.size(), true);
  accumulator.add(&table, rows, row_slices.data(),
                  {begin, end - begin, nullptr, row_times, watermarks.first_arrival});
  for (size_t first = 0; first < windows.size(); first += kMaxResultRows) {
    const size_t count = std::min<size_t>(kMaxResultRows, windows.size() - first);
    const size_t next = first + count;
    emit_some({windows.data() + first, count},
              next < windows.size() ? windows[next].first : parts.size(), watermarks, emit);
  }
  table.settle();
  table.clear_rows(evicted);
  for (const uint32_t slice : evicted) slices.release(slice);
  windows.clear();
  parts.clear();
  evicted.clear();
}

void CountAggregation::State::emit_some(std::span<const Window> some, size_t parts_end,
                                        const RowWatermarks& watermarks, const Emit& emit) {
  const size_t first_part = some.front().first;
  const size_t count = some.size();
  result_keys.resize(count);
  result_slots.resize(count);
  starts.resize(count);
  ends.resize(count);
  targets.resize(parts_end - first_part);
  // With one slice each, that is the window.
  const bool is_merged = parts_end - first_part > count;
  MutableBuffer in_force(static_cast<int64_t>(watermarks.per_row ? count * sizeof(int64_t) : 0));
  for (size_t i = 0; i < count; ++i) {
    const Window& window = some[i];
    const size_t last = i + 1 < count ? some[i + 1].first : parts_end;
    result_keys[i] = window.key;
    result_slots[i] = is_merged ? static_cast<uint32_t>(i) : parts[window.first];
    std::fill(targets.begin() + static_cast<std::ptrdiff_t>(window.first - first_part),
              targets.begin() + static_cast<std::ptrdiff_t>(last - first_part),
              static_cast<uint32_t>(i));
    starts[i] = window.start;
    ends[i] = window.end;
    if (watermarks.per_row) {
      in_force.as<int64_t>()[i] = watermarks.per_row.as<int64_t>()[window.row];
    }
  }
  RowWatermarks of_results;
  of_results.all = watermarks.all;
  if (watermarks.per_row) of_results.per_row = in_force.freeze();
  AccumulatorTable merged(&layout);
  if (is_merged) {
    merged.prepare(static_cast<uint32_t>(count), true);
    merged.merge_slots(table, targets.data(), parts.data() + first_part,
                       static_cast<int64_t>(targets.size()));
  }
  emit(results.make_batch(is_merged ? merged : table, keys,
                          {result_keys, result_slots, starts, ends}),
       std::move(of_results));
}

bool CountAggregation::State::is_worth_compacting(int64_t size, int64_t alive, int64_t* look_at) {
  const bool result = alive * 2 < size;
  *look_at = std::max({kCompactMin, 2 * alive, result ? 0 : size + size / 2});
  return result;
}

// Keys without a slice are as if they had never come: now and then they are forgotten.
void CountAggregation::State::compact() {
  if (slices.size() >= look_at_slices &&
      is_worth_compacting(slices.size(), slices.in_use(), &look_at_slices)) {
    table.remap(slices.compact());
  }
  if (keys.size() < look_at_keys) return;
  std::vector<uint8_t> live(keys.size());
  slices.mark_keys(live);
  const int64_t alive = std::count(live.begin(), live.end(), 1);
  if (is_worth_compacting(keys.size(), alive, &look_at_keys)) {
    const std::vector<uint32_t> new_ids = keys.compact(live);
    slices.remap_keys(new_ids, keys.size());
  }
}

CountAggregation::CountAggregation(const CountAggregationSpec& spec, SchemaPtr input)
    : state_(std::make_unique<State>(spec, input)) {}

CountAggregation::~CountAggregation() = default;

const SchemaPtr& CountAggregation::output_schema() const { return state_->results.schema(); }

void CountAggregation::add(const RecordBatch& rows, const RowWatermarks& watermarks,
                           const Emit& emit) {
  State& state = *state_;
  const int64_t count = rows.num_rows;
  if (count == 0) return;
  const int64_t* times = state.read_times(rows);
  std::vector<const Array*> key_columns;
  for (const int key : state.spec.key_columns) {
    key_columns.push_back(&rows.columns[static_cast<size_t>(key)]);
  }
  state.ids.resize(static_cast<size_t>(count));
  state.row_slices.resize(static_cast<size_t>(count));
  state.keys.find_or_insert(key_columns, count, state.ids.data());
  state.slices.reserve_keys(state.keys.size());
  state.row_times = times;
  int64_t settled = 0;
  for (int64_t row = 0; row < count; ++row) {
    state.count(state.ids[static_cast<size_t>(row)], row, times[row]);
    if (state.parts.size() < kMaxParts) continue;
    state.settle(rows, settled, row + 1, watermarks, emit);
    settled = row + 1;
  }
  state.settle(rows, settled, count, watermarks, emit);
  state.compact();
}

int64_t CountAggregation::state_bytes() const {
  return state_->keys.bytes() + state_->slices.bytes() + state_->table.bytes();
}

int64_t CountAggregation::open_slices() const { return state_->slices.in_use(); }

}  // namespace pystream::windows
