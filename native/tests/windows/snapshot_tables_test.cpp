// What the tables of a snapshot are, and which do not fit an operator or each other.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "snapshot_instances.hpp"

namespace pystream::windows {
namespace {

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

TEST(SnapshotTables, OfATriggerOfOnesOwnAreOfThatOne) {
  PaneAggregationSpec spec = with_columns(panes_of(GlobalSpec{}));
  spec.own_trigger = std::make_shared<EveryFew>(3);
  state::StateWriter writer;
  PaneAggregation(spec, input_schema()).snapshot(&writer);
  const state::StateReader reader({writer.finish()});
  PaneAggregation(spec, input_schema()).restore(reader, {});
  spec.own_trigger = std::make_shared<EveryFew>(4);
  const std::string message =
      message_of([&] { PaneAggregation(spec, input_schema()).restore(reader, {}); });
  EXPECT_NE(message.find("global window, trigger EveryFew(3)"), std::string::npos) << message;
  EXPECT_NE(message.find("global window, trigger EveryFew(4)"), std::string::npos) << message;
  spec.own_trigger = std::make_shared<EveryFew>(3);
  spec.trigger.is_discarding = true;
  EXPECT_NE(message_of([&] {
              PaneAggregation(spec, input_schema()).restore(reader, {});
            }).find("trigger EveryFew(3), discarding"),
            std::string::npos);
}

}  // namespace
}  // namespace pystream::windows
