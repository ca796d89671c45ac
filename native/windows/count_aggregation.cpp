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
#include "windows/count_stacks.hpp"
#include "windows/event_times.hpp"
#include "windows/keyed_state.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/state_layout.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "count window";
// Fewer keys or slices than this are not worth closing up.
constexpr int64_t kCompactMin = 65536;
// Slices of complete windows that are noted before these are merged; stacked windows, which have
// rows in the table meanwhile.
constexpr size_t kMaxParts = size_t{1} << 20;
constexpr size_t kMaxStacked = 8192;

CountAggregationSpec checked(CountAggregationSpec spec, const Schema& input) {
  key_types(spec.key_columns, input);
  if (spec.size < 1 || spec.slide < 1 || spec.slide > spec.size) {
    throw Error(ErrorCode::kConfig, "count windows have the size " + std::to_string(spec.size) +
                                        " and the slide " + std::to_string(spec.slide) +
                                        ". Use at least one record, and at most the size.");
  }
  return spec;
}

// A slide begins a slice, and, if it does not divide the size, the edge at which windows begin.
int64_t slices_per_window(const CountAggregationSpec& spec) {
  const int64_t slides = spec.size / spec.slide;
  return spec.size % spec.slide == 0 ? slides : 2 * slides + 1;
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
        input(input),
        // From the end of a window to the edge at which a later one begins.
        begin_phase((spec.slide - spec.size % spec.slide) % spec.slide),
        time_field(time_field_of(spec, *input)),
        layout(make_layout(spec.aggregates, *input, true)),
        results(&layout, *input, spec.key_columns, type_of(time_field)),
        keys(key_types(spec.key_columns, *input)),
        table(&layout),
        times(time_field ? time_field->name : ""),
        accumulator(&layout),
        is_stacked(CountStacks::are_worth(slices_per_window(spec), layout)),
        stacks(&slices) {}

  // A window that is complete: its slices stand in `parts` from `first` on, unless it is stacked.
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
  bool is_full() const { return parts.size() >= kMaxParts || stacked_count() >= kMaxStacked; }
  size_t stacked_count() const { return is_stacked ? windows.size() : 0; }
  void settle(const RecordBatch& rows, int64_t begin, int64_t end, const RowWatermarks& watermarks,
              const Emit& emit);
  void emit_some(std::span<const Window> some, size_t parts_end, const RowWatermarks& watermarks,
                 const Emit& emit);
  RowWatermarks in_force_of(std::span<const Window> some, const RowWatermarks& watermarks) const;
  void emit_stacked(const RowWatermarks& watermarks, const Emit& emit);
  std::string describe() const;
  KeyedStateTable state_table(const StateKey& key) const;
  KeyedStateTable::Rows state_rows() const;
  void restore(const state::StateReader& reader, state::KeyGroupRange range);
  void restore_rows(const KeyedStateTable::Batch& batch);

  void compact();
  static bool is_worth_compacting(int64_t size, int64_t alive, int64_t* look_at);

  // Configuration.
  const CountAggregationSpec spec;
  const SchemaPtr input;
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
  const bool is_stacked;
  CountStacks stacks;
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
  const int64_t next_begin = of_key.records + spec.slide - spec.size;
  Window window{key, parts.size(), row, INT64_MAX, INT64_MIN};
  if (is_stacked) {
    const auto number = static_cast<uint32_t>(windows.size());
    const auto [first, last] = stacks.complete(key, number, next_begin, &evicted);
    windows.push_back({key, 0, row, first, last + (time_field ? 1 : 0)});
    return;
  }
  for (uint32_t at = of_key.oldest; at != kNoSlice; at = slices[at].newer) {
    parts.push_back(at);
    window.start = std::min(window.start, slices[at].min_time);
    window.end = std::max(window.end, slices[at].max_time);
  }
  if (time_field) ++window.end;
  windows.push_back(window);
  while (of_key.oldest != kNoSlice && slices[of_key.oldest].begin < next_begin) {
    evicted.push_back(slices.pop(key));
  }
}

// Accumulates rows [begin, end), emits the windows that are complete, and lets go what they held.
void CountAggregation::State::settle(const RecordBatch& rows, int64_t begin, int64_t end,
                                     const RowWatermarks& watermarks, const Emit& emit) {
  table.prepare(slices.size() + static_cast<uint32_t>(stacked_count()), true);
  accumulator.add(&table, rows, row_slices.data(),
                  {begin, end - begin, nullptr, row_times, watermarks.first_arrival});
  if (is_stacked) emit_stacked(watermarks, emit);
  for (size_t first = 0; !is_stacked && first < windows.size(); first += kMaxResultRows) {
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
  }
  AccumulatorTable merged(&layout);
  if (is_merged) {
    merged.prepare(static_cast<uint32_t>(count), true);
    merged.merge_slots(table, targets.data(), parts.data() + first_part,
                       static_cast<int64_t>(targets.size()));
  }
  emit(results.make_batch(is_merged ? merged : table, keys,
                          {result_keys, result_slots, starts, ends}),
       in_force_of(some, watermarks));
}

RowWatermarks CountAggregation::State::in_force_of(std::span<const Window> some,
                                                   const RowWatermarks& watermarks) const {
  RowWatermarks result;
  result.all = watermarks.all;
  if (!watermarks.per_row) return result;
  MutableBuffer in_force(static_cast<int64_t>(some.size() * sizeof(int64_t)));
  for (size_t i = 0; i < some.size(); ++i) {
    in_force.as<int64_t>()[i] = watermarks.per_row.as<int64_t>()[some[i].row];
  }
  result.per_row = in_force.freeze();
  return result;
}

// The windows stand in the table, behind the slices, until they are emitted.
void CountAggregation::State::emit_stacked(const RowWatermarks& watermarks, const Emit& emit) {
  if (windows.empty()) return;
  const uint32_t first = slices.size();
  stacks.run(&table, first);
  result_keys.clear();
  result_slots.clear();
  starts.clear();
  ends.clear();
  for (const Window& window : windows) {
    result_keys.push_back(window.key);
    result_slots.push_back(first + static_cast<uint32_t>(result_slots.size()));
    starts.push_back(window.start);
    ends.push_back(window.end);
  }
  emit(results.make_batch(table, keys, {result_keys, result_slots, starts, ends}),
       in_force_of(windows, watermarks));
  table.clear_rows(result_slots);
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

std::string CountAggregation::State::describe() const {
  return "windows of " + std::to_string(spec.size) + " records by " + std::to_string(spec.slide) +
         describe_columns(*input, spec.event_time_column, spec.key_columns, spec.aggregates);
}

KeyedStateTable CountAggregation::State::state_table(const StateKey& key) const {
  const DataType whole = DataType::of(TypeId::kInt64);
  const DataType flag = DataType::of(TypeId::kBool);
  return {"slices",
          key,
          {{"records", whole, false},
           {"phase", whole, false},
           {"begin", whole, false},
           {"min_time", whole, false},
           {"max_time", whole, false},
           {"is_merged", flag, false},
           {"is_counted", flag, false},
           {"is_total", flag, false}},
          &layout};
}

// Key by key, the oldest slice first; where the back is summed up, that row is the last.
KeyedStateTable::Rows CountAggregation::State::state_rows() const {
  KeyedStateTable::Rows rows;
  for (uint32_t id = 0; id < slices.universe(); ++id) {
    const CountKey& key = slices.key(id);
    const auto add = [&](uint32_t number, bool is_merged, bool is_counted, bool is_total) {
      const CountSlice& slice = slices[number];
      rows.add(id,
               {key.records, key.phase, slice.begin, slice.min_time, slice.max_time,
                is_merged ? 1 : 0, is_counted ? 1 : 0, is_total ? 1 : 0},
               number);
    };
    bool is_merged = key.front_newest != kNoSlice;
    bool is_counted = key.pushed != kNoSlice;
    for (uint32_t at = key.oldest; at != kNoSlice; at = slices[at].newer) {
      add(at, is_merged, is_counted, false);
      is_merged &= at != key.front_newest;
      is_counted &= at != key.pushed;
    }
    if (key.total != kNoSlice) add(key.total, false, false, true);
  }
  return rows;
}

// Into a state that is new.
void CountAggregation::State::restore(const state::StateReader& reader,
                                      state::KeyGroupRange range) {
  reader.check_operator(kKind, describe());
  const StateKey key = StateKey::of(spec.key_columns, *input);
  read_keys(reader, key, range, &keys);
  for (size_t part = 0; part < reader.parts(); ++part) {
    state_table(key).read(reader, part, range,
                          [&](const KeyedStateTable::Batch& rows) { restore_rows(rows); });
  }
}

void CountAggregation::State::restore_rows(const KeyedStateTable::Batch& rows) {
  const std::vector<uint32_t> of_rows = rows.ids(&keys);
  slices.reserve_keys(keys.size());
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < of_rows.size(); ++i) {
    const uint32_t id = of_rows[i];
    const auto place = [&](size_t column) { return rows.space[column][i]; };
    const bool is_total = place(7) != 0;
    if (is_total) {
      slices.open_total(id);
    } else {
      slices.open(id);
    }
    CountKey& of_key = slices.key(id);
    const uint32_t number = is_total ? of_key.total : of_key.newest;
    of_key.records = place(0);
    of_key.phase = place(1);
    slices[number].begin = place(2);
    slices[number].min_time = place(3);
    slices[number].max_time = place(4);
    if (place(5) != 0) of_key.front_newest = number;
    if (place(6) != 0) of_key.pushed = number;
    numbers.push_back(number);
  }
  merge_batch(rows, 0, rows.rows, numbers.data(), slices.size(), &table);
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
    if (!state.is_full()) continue;
    state.settle(rows, settled, row + 1, watermarks, emit);
    settled = row + 1;
  }
  state.settle(rows, settled, count, watermarks, emit);
  state.compact();
}

void CountAggregation::snapshot(state::StateWriter* writer) const {
  const State& state = *state_;
  const StateKey key = StateKey::of(state.spec.key_columns, *state.input);
  writer->set_operator(kKind, state.describe());
  write_keys(writer, key, state.keys);
  const KeyedStateTable table = state.state_table(key);
  table.begin(writer);
  table.write(writer, state.keys, state.state_rows(), &state.table);
}

void CountAggregation::restore(const state::StateReader& reader, state::KeyGroupRange range) {
  auto fresh = std::make_unique<State>(state_->spec, state_->input);
  fresh->restore(reader, range);
  state_ = std::move(fresh);
}

int64_t CountAggregation::state_bytes() const {
  return state_->keys.bytes() + state_->slices.bytes() + state_->table.bytes();
}

int64_t CountAggregation::open_slices() const { return state_->slices.in_use(); }

}  // namespace pystream::windows
