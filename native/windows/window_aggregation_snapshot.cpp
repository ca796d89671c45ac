// WindowAggregation's snapshots. Tables and columns: docs/formats/state.md.
//
// Keys have ids of their own in each thread, and so have the tables of rows that threads have added
// since slices were last sealed. A snapshot has no threads: rows of one key and slice that several
// have added stand in several rows, and are merged when they are read.

#include <algorithm>
#include <utility>

#include "windows/keyed_state.hpp"
#include "windows/state_layout.hpp"
#include "windows/window_aggregation_state.hpp"

namespace pystream::windows {

namespace {

constexpr const char* kKind = "window";

struct Tables {
  Tables(const WindowAggregationSpec& spec, const Schema& input, const AccumulatorLayout* layout)
      : key(StateKey::of(spec.key_columns, input)),
        open("open_slices", key, {whole("slice")}, layout),
        open_late("open_late_rows", key, {whole("from_window"), whole("slice")}, layout),
        front("merged_slices", key, {whole("slice"), whole("slice_keys")}, layout),
        back("sealed_slices", key, {whole("slice"), whole("slice_keys")}, layout),
        late("sealed_late_rows", key, {whole("slice")}, layout),
        fired("fired_windows", key, {whole("window")}, layout) {}

  static Field whole(const char* name) { return {name, DataType::of(TypeId::kInt64), false}; }

  StateKey key;
  KeyedStateTable open, open_late, front, back, late, fired;
};

// Writes the rows of one accumulator table, all at one place.
void write_all(state::StateWriter* writer, const KeyedStateTable& to,
               const state::KeyDictionary& keys, const AccumulatorTable& table,
               std::initializer_list<int64_t> place) {
  AccumulatorTable::Places places;
  table.collect(&places);
  KeyedStateTable::Rows rows;
  for (int64_t i = 0; i < places.ids.size(); ++i) rows.add(places.ids[i], place, places.slots[i]);
  to.write(writer, keys, rows, &table);
}

// Of a slice whose keys may have gone to several instances.
int64_t keys_here(int64_t slice_keys, int64_t rows, state::KeyGroupRange range,
                  const state::StateReader& reader) {
  const bool is_whole = range.first <= 0 && range.last >= reader.max_parallelism() - 1;
  return is_whole ? slice_keys : std::min(slice_keys, rows);
}

}  // namespace

std::string WindowAggregation::State::describe() const {
  std::string text = windows::describe(spec.window);
  if (keeps_fired()) text += ", allowed lateness " + std::to_string(spec.allowed_lateness);
  return text + describe_columns(*input, spec.event_time_column, spec.key_columns, spec.aggregates);
}

void WindowAggregation::State::snapshot(state::StateWriter* writer) {
  merge_keys();
  const Tables tables(spec, *input, &layout);
  writer->set_operator(kKind, describe());
  writer->set_fact("watermark", watermark);
  writer->set_fact("first_unfired", first_unfired);
  writer->set_fact("is_stacked", sealed.is_stacked() ? 1 : 0);
  writer->set_fact("should_stack", sealed.should_stack() ? 1 : 0);
  write_keys(writer, tables.key, keys());

  tables.open.begin(writer);
  for (const PartialState& partial : partials) {
    for (const auto& [slice, table] : partial.slices()) {
      write_all(writer, tables.open, partial.keys(), table, {slice});
    }
  }
  tables.open_late.begin(writer);
  for (const PartialState& partial : partials) {
    for (const auto& [place, table] : partial.late_slices()) {
      write_all(writer, tables.open_late, partial.keys(), table, {place.first, place.second});
    }
  }
  // Tables follow one another, so each has a walk of its own.
  const auto nothing = [](auto&&...) {};
  tables.front.begin(writer);
  sealed.visit(
      [&](int64_t slice, int64_t slice_keys, const AccumulatorTable& table) {
        write_all(writer, tables.front, keys(), table, {slice, slice_keys});
      },
      nothing, nothing);
  tables.back.begin(writer);
  sealed.visit(
      nothing,
      [&](int64_t slice, int64_t slice_keys, const AccumulatorTable& table) {
        write_all(writer, tables.back, keys(), table, {slice, slice_keys});
      },
      nothing);
  tables.late.begin(writer);
  sealed.visit(nothing, nothing, [&](int64_t slice, const AccumulatorTable& table) {
    write_all(writer, tables.late, keys(), table, {slice});
  });
  tables.fired.begin(writer);
  fired.for_each([&](int64_t window, const AccumulatorTable& table) {
    write_all(writer, tables.fired, keys(), table, {window});
  });
}

// Into a state that is new. All open slices go to the first thread.
void WindowAggregation::State::restore(const state::StateReader& reader,
                                       state::KeyGroupRange range) {
  const Tables tables(spec, *input, &layout);
  reader.check_operator(kKind, describe());
  watermark = reader.fact("watermark");
  first_unfired = reader.highest_fact("first_unfired");
  read_keys(reader, tables.key, range, &keys());
  PartialState& partial = partials.front();
  if (is_merging()) read_keys(reader, tables.key, range, &partial.keys());
  partial.note_restored();

  for (size_t part = 0; part < reader.parts(); ++part) {
    // Reads a table into the accumulator tables that find(row of the batch, its rows) gives.
    const auto read = [&](const KeyedStateTable& from, state::KeyDictionary& dictionary,
                          auto find) {
      from.read(reader, part, range, [&](const KeyedStateTable::Batch& batch) {
        const std::vector<uint32_t> ids = batch.ids(&dictionary);
        for_each_run(batch, [&](int64_t begin, int64_t count) {
          merge_batch(batch, begin, count, ids.data(), dictionary.size(),
                      find(batch.space, static_cast<size_t>(begin), count));
        });
      });
    };
    read(tables.open, partial.keys(), [&](const auto& place, size_t row, int64_t) {
      return &partial.slices().try_emplace(place[0][row], &layout).first->second;
    });
    read(tables.open_late, partial.keys(), [&](const auto& place, size_t row, int64_t) {
      const std::pair<int64_t, int64_t> at{place[0][row], place[1][row]};
      return &partial.late_slices().try_emplace(at, &layout).first->second;
    });
    SlidingMerge own(&layout);
    read(tables.front, keys(), [&](const auto& place, size_t row, int64_t rows) {
      return own.restore_front(place[0][row], keys_here(place[1][row], rows, range, reader));
    });
    read(tables.back, keys(), [&](const auto& place, size_t row, int64_t rows) {
      return own.restore_back(place[0][row], keys_here(place[1][row], rows, range, reader));
    });
    read(tables.late, keys(),
         [&](const auto& place, size_t row, int64_t) { return own.late(place[0][row]); });
    own.rebuild(reader.fact(part, "is_stacked") != 0, reader.fact(part, "should_stack") != 0,
                keys().size());
    if (part == 0) {
      sealed = std::move(own);
    } else {
      sealed.absorb(std::move(own), keys().size());
    }
    read(tables.fired, keys(),
         [&](const auto& place, size_t row, int64_t) { return fired.content(place[0][row]); });
  }
}

}  // namespace pystream::windows
