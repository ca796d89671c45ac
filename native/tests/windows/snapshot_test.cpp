// Operators that are replaced by others out of their snapshots, at random points of random streams,
// with more instances or fewer: what they emit is what one that was never interrupted emits.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "snapshot_streams.hpp"
#include "windows/count_aggregation.hpp"
#include "windows/pane_aggregation.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/triggered_aggregation.hpp"
#include "windows/user_aggregate.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {
namespace {

SchemaPtr input_schema() {
  Random random(1);
  int64_t clock = 0;
  return random_rows(&random, 0, 1, &clock, 1).schema;
}

// The differences between aggregations, but for that between threads.
template <typename Aggregation, typename Spec>
class Windows final : public Instance {
 public:
  explicit Windows(const Spec& spec) : aggregation_(spec, input_schema()) {}

  void add(const RecordBatch& rows, const RowWatermarks& watermarks) override {
    std::vector<int32_t> late;
    if constexpr (std::is_same_v<Aggregation, CountAggregation>) {
      aggregation_.add(rows, watermarks, emit());
    } else {
      aggregation_.add(rows, watermarks, &late, emit());
    }
    note_late(rows, late);
  }
  void advance(int64_t watermark) override {
    if constexpr (!std::is_same_v<Aggregation, CountAggregation>) {
      aggregation_.advance(watermark, emit());
    }
  }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }

 private:
  auto emit() {
    return [this](RecordBatch&& rows, auto&&) { note(rows); };
  }
  Aggregation aggregation_;
};

class FixedWindows final : public Instance {
 public:
  FixedWindows(const WindowAggregationSpec& spec, int threads)
      : aggregation_(spec, input_schema(), threads), threads_(threads) {}

  void add(const RecordBatch& rows, const RowWatermarks& watermarks) override {
    std::vector<int32_t> late, behind;
    aggregation_.add(next_++ % threads_, rows, watermarks, &late, &behind);
    note_late(rows, late);
    if (behind.empty()) return;
    RowWatermarks taken;
    MutableBuffer seen, arrivals;
    for (const int32_t row : behind) {
      const int64_t arrival = watermarks.first_arrival + row;
      seen.append(watermarks.per_row.as<int64_t>() + row, 8);
      arrivals.append(&arrival, 8);
    }
    taken.per_row = seen.freeze();
    taken.arrivals = arrivals.freeze();
    aggregation_.add_behind(
        rows.take(behind), taken, [this](RecordBatch&& out) { note(out); },
        [this](RecordBatch&& out, Buffer&&) { note(out); });
  }
  void advance(int64_t watermark) override {
    aggregation_.advance(watermark, [this](RecordBatch&& rows) { note(rows); });
  }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }

 private:
  WindowAggregation aggregation_;
  int threads_;
  int next_ = 0;
};

WindowAggregationSpec fixed(WindowSpec window) {
  WindowAggregationSpec spec;
  spec.window = window;
  return spec;
}

CountAggregationSpec counted(int64_t size, int64_t slide) {
  CountAggregationSpec spec;
  spec.size = size;
  spec.slide = slide;
  return spec;
}

using PaneWindows = decltype(PaneAggregationSpec::windows);

PaneAggregationSpec panes_of(const PaneWindows& windows) {
  PaneAggregationSpec spec;
  spec.windows = windows;
  return spec;
}

std::vector<AggregateSpec> few_aggregates() {
  return {{AggregateKind::kCountAll, -1, "n"},
          {AggregateKind::kSum, 3, "sum"},
          {AggregateKind::kMin, 5, "min"},
          {AggregateKind::kMax, 6, "max"},
          {AggregateKind::kLast, 10, "last"}};
}

template <typename Spec>
Spec with_columns(Spec spec, const std::vector<int>& keys = {0}) {
  spec.key_columns = keys;
  spec.event_time_column = 2;
  spec.aggregates = all_aggregates();
  return spec;
}

void check_fixed(WindowSpec window, StreamOptions options, int threads, int64_t lateness,
                 uint64_t seeds) {
  WindowAggregationSpec spec = with_columns(fixed(window), options.keys);
  spec.allowed_lateness = lateness;
  // Many slices: what is kept beside the rows would take most of the time.
  if (window.size > 12 * window.slide) spec.aggregates = few_aggregates();
  expect_same_when_restored([&] { return std::make_unique<FixedWindows>(spec, threads); }, options,
                            seeds);
}

TEST(Snapshots, TumblingWindows) {
  check_fixed({100, 100}, {}, 1, 0, 8);
  check_fixed({50, 50, 7}, {}, 2, 0, 4);
}

TEST(Snapshots, OfOneInstanceKeepEveryBitOfFloats) {
  StreamOptions options;
  options.counts = {1};
  options.distinct_keys = 4;
  check_fixed({100, 100}, options, 1, 0, 6);
  check_fixed({60, 4}, options, 1, 0, 3);
}

TEST(Snapshots, WindowsOfNoKeyAndOfTwo) {
  StreamOptions options;
  options.keys = {};
  check_fixed({100, 100}, options, 1, 0, 4);
  options.keys = {0, 1};
  check_fixed({100, 100}, options, 2, 0, 4);
}

TEST(Snapshots, HoppingAndCumulativeWindows) {
  check_fixed({100, 30}, {}, 1, 0, 5);
  check_fixed({120, 10}, {}, 1, 0, 3);
  check_fixed({120, 10}, {}, 3, 0, 2);
  check_fixed({120, 20, 0, true}, {}, 1, 0, 4);
}

// Of many slices with the same keys, which are merged in two stacks.
TEST(Snapshots, StackedSlices) {
  StreamOptions options;
  options.batches = 60;
  options.distinct_keys = 3;
  check_fixed({60, 4}, options, 1, 0, 4);
  check_fixed({60, 4}, options, 2, 25, 2);
}

TEST(Snapshots, WindowsThatHaveFiredAndTakeRows) {
  check_fixed({60, 60}, {}, 1, 50, 5);
  check_fixed({60, 20}, {}, 2, 50, 3);
}

// Rows that are late for some of their windows alone.
TEST(Snapshots, RowsThatAreLateForSomeWindows) {
  StreamOptions options;
  options.bound = 3;
  check_fixed({90, 10}, options, 1, 0, 3);
  check_fixed({90, 10}, options, 2, 30, 2);
}

TEST(Snapshots, Sessions) {
  for (const int64_t lateness : {0, 60}) {
    SessionAggregationSpec spec = with_columns(SessionAggregationSpec{});
    spec.session.gap = 15;
    spec.session.allowed_lateness = lateness;
    StreamOptions options;
    options.bound = 10;
    using Sessions = Windows<SessionAggregation, SessionAggregationSpec>;
    expect_same_when_restored([&] { return std::make_unique<Sessions>(spec); }, options, 5);
  }
}

TEST(Snapshots, CountWindows) {
  using Counted = Windows<CountAggregation, CountAggregationSpec>;
  for (const auto& [size, slide] :
       std::vector<std::pair<int64_t, int64_t>>{{5, 5}, {7, 3}, {4, 1}}) {
    CountAggregationSpec spec = with_columns(counted(size, slide));
    expect_same_when_restored([&] { return std::make_unique<Counted>(spec); }, {}, 3);
  }
  // In two stacks, which are for aggregates without side states.
  CountAggregationSpec spec = with_columns(counted(20, 1));
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"},
                     {AggregateKind::kSum, 3, "sum"},
                     {AggregateKind::kMin, 5, "min"},
                     {AggregateKind::kMax, 6, "max"}};
  expect_same_when_restored([&] { return std::make_unique<Counted>(spec); }, {}, 12);
}

const std::vector<TriggerSpec> kTriggers = {
    {3, 0, true, false}, {0, 16, true, false}, {2, 24, false, true}, {0, 0, true, true}};

TEST(Snapshots, WindowsWithTriggers) {
  using Triggered = Windows<TriggeredAggregation, WindowAggregationSpec>;
  for (const TriggerSpec& trigger : kTriggers) {
    for (const int64_t lateness : {0, 40}) {
      WindowAggregationSpec spec = with_columns(fixed({90, 30}));
      spec.trigger = trigger;
      spec.allowed_lateness = lateness;
      expect_same_when_restored([&] { return std::make_unique<Triggered>(spec); }, {}, 1);
    }
  }
}

TEST(Snapshots, PanesOfEveryKind) {
  using Panes = Windows<PaneAggregation, PaneAggregationSpec>;
  SessionSpec session;
  session.gap = 15;
  const std::vector<PaneWindows> kinds = {WindowSpec{90, 30}, session, CountedSpec{6},
                                          GlobalSpec{}};
  for (const auto& kind : kinds) {
    for (const TriggerSpec& trigger : kTriggers) {
      PaneAggregationSpec spec = with_columns(panes_of(kind));
      spec.trigger = trigger;
      spec.allowed_lateness = 20;
      expect_same_when_restored([&] { return std::make_unique<Panes>(spec); }, {}, 1);
    }
  }
}

// Sums in a column, and beside it whether they are odd.
class Sums final : public UserAggregate {
 public:
  Sums()
      : UserAggregate({{"sum", DataType::of(TypeId::kInt64), std::vector<uint8_t>(8)},
                       {"is_odd", DataType::of(TypeId::kBool), {0}}},
                      DataType::of(TypeId::kInt64)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    for (size_t i = 0; i < groups.size(); ++i) {
      add_to(states, groups[i], arguments[0].data<int64_t>()[i]);
    }
  }
  void merge(UserStates* states, const UserStates& others) const override {
    for (size_t i = 0; i < static_cast<size_t>(others.count); ++i) {
      add_to(states, i, sums(others)[i]);
    }
  }
  Array results(const UserStates& states) const override {
    std::vector<std::optional<int64_t>> values;
    for (size_t i = 0; i < static_cast<size_t>(states.count); ++i) {
      EXPECT_EQ(states.columns[1][i], sums(states)[i] & 1);
      values.push_back(sums(states)[i]);
    }
    return make_column<int64_t>(result_type(), values);
  }

 private:
  static const int64_t* sums(const UserStates& states) {
    return reinterpret_cast<const int64_t*>(states.columns[0].data());
  }
  static void add_to(UserStates* states, size_t at, int64_t value) {
    int64_t& sum = reinterpret_cast<int64_t*>(states->columns[0].data())[at];
    sum += value;
    states->columns[1][at] = static_cast<uint8_t>(sum & 1);
  }
};

// Objects, of which only the values that came matter, not their order.
class Objects : public UserAggregate {
 public:
  Objects() : UserAggregate({}, DataType::of(TypeId::kString)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    for (size_t i = 0; i < groups.size(); ++i) {
      std::string text = text_of(*states, groups[i]);
      text.push_back(static_cast<char>('a' + (arguments[0].data<int64_t>()[i] & 15)));
      states->objects[groups[i]] = std::make_shared<std::string>(text);
    }
  }
  void merge(UserStates* states, const UserStates& others) const override {
    for (size_t i = 0; i < others.objects.size(); ++i) {
      states->objects[i] = std::make_shared<std::string>(text_of(*states, i) + text_of(others, i));
    }
  }
  Array results(const UserStates& states) const override {
    std::vector<std::optional<std::string>> texts;
    for (size_t i = 0; i < states.objects.size(); ++i) {
      texts.push_back(text_of(states, i));
      std::sort(texts.back()->begin(), texts.back()->end());
    }
    return make_strings(texts);
  }

 protected:
  static std::string text_of(const UserStates& states, size_t at) {
    const auto& held = states.objects[at];
    return held ? *static_cast<const std::string*>(held.get()) : "";
  }
};

class WrittenObjects final : public Objects {
 public:
  Array write_objects(const UserStates& states) const override {
    std::vector<std::optional<std::string>> texts;
    for (size_t i = 0; i < states.objects.size(); ++i) {
      texts.push_back(states.objects[i] ? std::optional(text_of(states, i)) : std::nullopt);
    }
    return make_strings(texts, TypeId::kBinary);
  }
  UserStates read_objects(const Array& column) const override {
    UserStates states;
    states.count = column.length;
    for (int64_t i = 0; i < column.length; ++i) {
      states.objects.push_back(column.is_valid(i) ? std::make_shared<std::string>(column.view(i))
                                                  : nullptr);
    }
    return states;
  }
};

WindowAggregationSpec with_function(std::shared_ptr<const UserAggregate> function) {
  WindowAggregationSpec spec = with_columns(fixed({60, 20}));
  spec.aggregates = {{AggregateKind::kUser, 3, "own"}, {AggregateKind::kCountAll, -1, "n"}};
  spec.aggregates[0].user = std::move(function);
  return spec;
}

TEST(Snapshots, AccumulatorsOfUsersFunctions) {
  for (const std::shared_ptr<const UserAggregate>& function :
       {std::shared_ptr<const UserAggregate>(std::make_shared<Sums>()),
        std::shared_ptr<const UserAggregate>(std::make_shared<WrittenObjects>())}) {
    const WindowAggregationSpec spec = with_function(function);
    for (const int threads : {1, 2}) {
      expect_same_when_restored([&] { return std::make_unique<FixedWindows>(spec, threads); }, {},
                                4);
    }
  }
}

TEST(Snapshots, AccumulatorsThatCannotBeWrittenAreAnError) {
  FixedWindows windows(with_function(std::make_shared<Objects>()), 1);
  Random random(1);
  int64_t clock = 0;
  RowWatermarks lowest;
  MutableBuffer in_force;
  in_force.append(std::vector<int64_t>(10, kMinWatermark).data(), 80);
  lowest.per_row = in_force.freeze();
  windows.add(random_rows(&random, 10, 3, &clock, 5), lowest);
  state::StateWriter writer;
  try {
    windows.snapshot(&writer);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotSupported);
  }
}

state::Snapshot taken_of(const WindowAggregationSpec& spec, int64_t watermark = 0) {
  Random random(7);
  int64_t clock = 0;
  FixedWindows windows(spec, 1);
  RowWatermarks none;
  const RecordBatch rows = random_rows(&random, 300, 200, &clock, 40);
  const std::vector<int64_t> lowest(300, kMinWatermark);
  MutableBuffer in_force;
  in_force.append(lowest.data(), 300 * 8);
  none.per_row = in_force.freeze();
  windows.add(rows, none);
  windows.advance(watermark);
  state::StateWriter writer;
  windows.snapshot(&writer);
  return writer.finish();
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    return error.what();
  }
  return "no error";
}

TEST(SnapshotTables, AreNamedColumnsOfPlainTypesWithTheKeyGroupFirst) {
  WindowAggregationSpec spec;
  spec.window = {100, 100};
  spec.key_columns = {0};
  spec.event_time_column = 2;
  spec.aggregates = {{AggregateKind::kSum, 3, "sum"},
                     {AggregateKind::kMax, 8, "last_day"},
                     {AggregateKind::kCountDistinct, 10, "texts"}};
  const state::Snapshot snapshot = taken_of(spec);
  EXPECT_EQ(snapshot.table("open_slices").schema->to_string(),
            "key_group: int32 not null, key.name: string, slice: int64 not null, rows: int64, "
            "whole.nulls: int64, whole.sum: decimal128(38, 0), day.nulls: int64, day.max: date32, "
            "text.nulls: int64, text.distinct.values: list<string>");
  const RecordBatch& facts = snapshot.table("operator").batches.at(0);
  EXPECT_EQ(rows_of(facts).at(0).at(0), "'window'");
  EXPECT_EQ(facts.columns[1].view(0),
            "tumbling window of 100 in ts: timestamp[ms] by name: string; sum(whole: int64), "
            "max(day: date32), count_distinct(text: string)");
}

TEST(SnapshotTables, SplitByKeyGroupEveryRowOnce) {
  const state::Snapshot whole = taken_of(with_columns(fixed({100, 100})), kMinWatermark);
  const auto rows = [](const state::Snapshot& snapshot, const char* table) {
    int64_t count = 0;
    for (const RecordBatch& batch : snapshot.table(table).batches) count += batch.num_rows;
    return count;
  };
  ASSERT_GT(rows(whole, "keys"), 100);
  int64_t keys = 0, slices = 0;
  for (int at = 0; at < 7; ++at) {
    const state::Snapshot part = state::select(whole, state::key_group_range(at, 7, 128));
    EXPECT_LT(rows(part, "keys"), rows(whole, "keys") / 2);
    EXPECT_EQ(rows(part, "operator"), 1);
    keys += rows(part, "keys");
    slices += rows(part, "open_slices");
  }
  EXPECT_EQ(keys, rows(whole, "keys"));
  EXPECT_EQ(slices, rows(whole, "open_slices"));
}

TEST(SnapshotTables, AnotherLayoutIsAnErrorThatNamesBoth) {
  WindowAggregationSpec spec;
  spec.window = {100, 100};
  spec.key_columns = {0};
  spec.event_time_column = 2;
  spec.aggregates = {{AggregateKind::kSum, 3, "sum"}};
  const state::StateReader reader({taken_of(spec)});
  const auto restore = [&](const WindowAggregationSpec& other) {
    return message_of([&] { FixedWindows(other, 1).restore(reader, {}); });
  };
  const auto expect_both = [](const std::string& message, const char* had, const char* wanted) {
    EXPECT_NE(message.find(had), std::string::npos) << message;
    EXPECT_NE(message.find(wanted), std::string::npos) << message;
  };
  WindowAggregationSpec other = spec;
  other.aggregates[0].kind = AggregateKind::kMax;
  expect_both(restore(other), "sum(whole: int64)", "max(whole: int64)");
  other = spec;
  other.window = {100, 50};
  expect_both(restore(other), "tumbling window of 100", "hopping window of 100 by 50");
  other = spec;
  other.key_columns = {5};
  expect_both(restore(other), "by name: string", "by small: int16");
  expect_both(message_of([&] {
                SessionAggregationSpec session = with_columns(SessionAggregationSpec{});
                session.session.gap = 5;
                SessionAggregation(session, input_schema()).restore(reader, {});
              }),
              "window: tumbling", "session window: session, gap 5");
}

TEST(SnapshotTables, OfDifferentMomentsAreNotPutTogether) {
  const WindowAggregationSpec spec = with_columns(fixed({100, 100}));
  const state::StateReader reader({taken_of(spec, 10), taken_of(spec, 11)});
  const std::string message = message_of([&] { FixedWindows(spec, 1).restore(reader, {}); });
  EXPECT_NE(message.find("10 and 11 for 'watermark'"), std::string::npos) << message;
}

TEST(SnapshotTables, ATriggerOfOnesOwnIsNotSupportedByName) {
  PaneAggregationSpec spec = with_columns(panes_of(GlobalSpec{}));
  spec.has_own_trigger = true;
  const PaneAggregation panes(spec, input_schema());
  state::StateWriter writer;
  try {
    panes.snapshot(&writer);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotSupported);
    EXPECT_NE(std::string(error.what()).find("trigger of one's own"), std::string::npos);
  }
}

}  // namespace
}  // namespace pystream::windows
