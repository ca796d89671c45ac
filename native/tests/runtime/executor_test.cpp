// Whole jobs over batches in memory.

#include "runtime/executor.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.hpp"
#include "job_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;
using expressions::Function;
using Rows = std::vector<std::vector<int64_t>>;

TEST(Executor, WindowsCloseAndALateRowGoesToTheSideOutput) {
  // Delay 5: [0, 10) closes when a record at 15 or later was seen.
  const std::vector<Event> events = {{1, 7, 10},   {14, 7, 1}, {9, 7, 100}, {15, 8, 2},
                                     {9, 7, 1000}, {14, 8, 3}, {30, 7, 4}};
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({batch_of(events)}, 5));
  const Port results = graph.add_window("totals", source, count_and_sum(10, 10));
  const int collect = graph.add_collect("results", results);
  const int late = graph.add_collect("late", {results.node, kLateOutput});
  Executor executor(graph);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);

  EXPECT_EQ(by_end_and_key(rows_of(executor.take_collected(collect))),
            (Rows{{7, 0, 10, 2, 110}, {7, 10, 20, 1, 1}, {8, 10, 20, 2, 5}, {7, 30, 40, 1, 4}}));
  EXPECT_EQ(events_of(executor.take_collected(late)), (std::vector<Event>{{9, 7, 1000}}));

  const auto metrics = executor.metrics();
  EXPECT_EQ(metrics[0].kind, "batch source");
  EXPECT_EQ(metrics[0].records_out, 7);
  EXPECT_EQ(metrics[1].name, "totals");
  EXPECT_EQ(metrics[1].records_in, 7);
  EXPECT_EQ(metrics[1].records_out, 4);
  EXPECT_EQ(metrics[1].late_records, 1);
  EXPECT_EQ(metrics[1].watermark, windows::kMaxWatermark);
}

TEST(Executor, TimeAtWorkIsThatOfEachOperatorAlone) {
  std::vector<Event> events;
  for (int64_t i = 0; i < 20'000; ++i) events.push_back({i, i % 7, i});
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({batch_of(events)}, 0));
  const Port kept = graph.add_filter("kept", source, greater("value", 10));
  graph.add_collect("results", graph.add_window("totals", kept, count_and_sum(100, 10)));
  Executor executor(graph);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(executor.run(60'000'000), RunStatus::kFinished);
  const std::chrono::nanoseconds passed = std::chrono::steady_clock::now() - begin;
  int64_t sum = 0;
  for (const MetricsSnapshot& reading : executor.metrics()) {
    EXPECT_GT(reading.busy_ns, 0) << reading.name;
    EXPECT_EQ(reading.threads, 1);
    EXPECT_EQ(reading.watermark_type->id, TypeId::kTimestamp);
    EXPECT_FALSE(reading.pending_records);
    sum += reading.busy_ns;
  }
  EXPECT_LE(sum, passed.count());
}

TEST(Executor, LateRowsAreCountedWhenNothingConsumesThem) {
  Graph graph;
  const Port source =
      graph.add_batch_source("events", batch_source({batch_of({{100, 1, 1}, {5, 1, 1}})}, 0));
  graph.add_collect("results", graph.add_window("totals", source, count_and_sum(10, 10)));
  Executor executor(graph);
  executor.run(1'000'000);
  EXPECT_EQ(executor.metrics()[1].late_records, 1);
}

TEST(Executor, EmptyInputFinishesWithoutRows) {
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({}, 0));
  const int collect =
      graph.add_collect("results", graph.add_window("totals", source, count_and_sum(10, 10)));
  EXPECT_TRUE(run_and_collect(graph, collect).empty());
}

TEST(Executor, WithoutAWatermarkNothingIsLate) {
  Graph graph;
  BatchSourceSpec spec{event_schema(), read_batches({batch_of({{100, 1, 1}, {5, 1, 2}})}), {}};
  const Port source = graph.add_batch_source("events", std::move(spec));
  const int collect =
      graph.add_collect("results", graph.add_window("totals", source, count_and_sum(10, 10)));
  EXPECT_EQ(rows_of(run_and_collect(graph, collect)),
            (Rows{{1, 0, 10, 1, 2}, {1, 100, 110, 1, 1}}));
}

TEST(Executor, FilterAndProjectKeepRowsTogether) {
  Graph graph;
  const Port source = graph.add_batch_source(
      "events", batch_source({batch_of({{1, 1, 10}, {2, 2, 20}, {3, 3, 30}})}, 0));
  const Port filtered = graph.add_filter("big", source, greater("value", 10));
  const Port projected = graph.add_project(
      "double", filtered,
      {{{"key", col("key")}, {"twice", call(Function::kMultiply, {col("value"), lit(2)})}}});
  const int collect = graph.add_collect("out", projected);
  const auto batches = run_and_collect(graph, collect);
  EXPECT_EQ(rows_of(batches), (Rows{{2, 40}, {3, 60}}));
  EXPECT_EQ(batches[0].schema->to_string(), graph.schema(projected)->to_string());
}

TEST(Executor, AnOutputFeedsSeveralOperators) {
  Graph graph;
  const Port source =
      graph.add_batch_source("events", batch_source({batch_of({{1, 1, 10}, {2, 2, 20}})}, 0));
  const int all = graph.add_collect("all", source);
  const int big = graph.add_collect("big", graph.add_filter("f", source, greater("value", 10)));
  const int windows =
      graph.add_collect("w", graph.add_window("totals", source, count_and_sum(10, 10)));
  Executor executor(graph);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  EXPECT_EQ(rows_of(executor.take_collected(all)), (Rows{{1, 1, 10}, {2, 2, 20}}));
  EXPECT_EQ(rows_of(executor.take_collected(big)), (Rows{{2, 2, 20}}));
  EXPECT_EQ(by_end_and_key(rows_of(executor.take_collected(windows))),
            (Rows{{1, 0, 10, 1, 10}, {2, 0, 10, 1, 20}}));
}

TEST(Executor, ReadsOnlyTheColumnsThatSomebodyNeeds) {
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({}, 0));
  const Port projected = graph.add_project(
      "p", source, {{{"k", col("key")}, {"unused", call(Function::kAdd, {col("value"), lit(1)})}}});
  const Port picked = graph.add_project("q", projected, {{{"k", col("k")}}});
  graph.add_collect("out", picked);
  Executor executor(graph);
  EXPECT_EQ(executor.columns_read(source.node), (std::vector<std::string>{"key"}));
}

TEST(Executor, LateOutputNeedsTheColumnsOfItsConsumer) {
  Graph graph;
  const Port source = graph.add_batch_source(
      "events", batch_source({batch_of({{100, 1, 1}, {5, 2, 50}, {6, 2, 60}})}, 0));
  WindowSpec spec = count_and_sum(10, 10);
  spec.aggregation.key_columns = {};
  spec.aggregation.aggregates.pop_back();
  const Port results = graph.add_window("counts", source, spec);
  const int counts = graph.add_collect("counts out", results);
  const int late = graph.add_collect(
      "late",
      graph.add_project("late values", {results.node, kLateOutput}, {{{"value", col("value")}}}));
  Executor executor(graph);
  EXPECT_EQ(executor.columns_read(source.node), (std::vector<std::string>{"ts", "value"}));
  executor.run(1'000'000);
  EXPECT_EQ(rows_of(executor.take_collected(late)), (Rows{{50}, {60}}));
  EXPECT_EQ(rows_of(executor.take_collected(counts)), (Rows{{100, 110, 1}}));
}

// The same records as one batch, as many, through small chunks and small rounds.
TEST(Executor, EqualsTheModelWhateverTheCuts) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 40; ++round) {
    const int64_t delay = static_cast<int64_t>(random() % 30);
    const int64_t size = static_cast<int64_t>(random() % 40) + 1;
    const int64_t slide =
        random() % 2 ? size : static_cast<int64_t>(random() % static_cast<uint64_t>(size)) + 1;
    const int64_t offset =
        static_cast<int64_t>(random() % static_cast<uint64_t>(2 * slide - 1)) - slide + 1;
    std::vector<Event> events(random() % 400 + 1);
    int64_t now = -200;
    for (Event& event : events) {
      now += static_cast<int64_t>(random() % 5);
      event = {now - static_cast<int64_t>(random() % 60), static_cast<int64_t>(random() % 4),
               static_cast<int64_t>(random() % 100)};
    }
    WindowModel model(1, delay, size, slide, offset);
    for (const Event& event : events) model.add(0, event);
    for (const size_t cut : {events.size(), size_t{1}, size_t{100}}) {
      std::vector<RecordBatch> batches;
      for (size_t at = 0; at < events.size(); at += cut) {
        const size_t end = std::min(events.size(), at + cut);
        batches.push_back(batch_of({events.begin() + static_cast<int64_t>(at),
                                    events.begin() + static_cast<int64_t>(end)}));
      }
      Graph graph;
      const Port source = graph.add_batch_source("events", batch_source(batches, delay));
      const Port results = graph.add_window("w", source, count_and_sum(size, slide, offset));
      const int out = graph.add_collect("out", results);
      const int late = graph.add_collect("late", {results.node, kLateOutput});
      ExecutorOptions options;
      options.round_rows = cut == 100 ? 50 : 1 << 20;
      options.chunk_rows = 64;
      Executor executor(graph, options);
      while (executor.run(1'000'000) != RunStatus::kFinished) {
      }
      const auto rows = rows_of(executor.take_collected(out));
      ASSERT_TRUE(is_sorted_by_end(rows)) << "round " << round << " cut " << cut;
      ASSERT_EQ(by_end_and_key(rows), model.results()) << "round " << round << " cut " << cut;
      ASSERT_EQ(events_of(executor.take_collected(late)), model.late())
          << "round " << round << " cut " << cut;
    }
  }
}

TEST(Executor, FilteredRowsStillAdvanceTheWatermark) {
  // The row at 100 is filtered out, yet it makes the row at 5 late.
  Graph graph;
  const Port source = graph.add_batch_source(
      "events", batch_source({batch_of({{1, 1, 10}, {100, 1, 0}, {5, 1, 20}, {101, 1, 30}})}, 0));
  const Port filtered = graph.add_filter("big", source, greater("value", 5));
  const Port results = graph.add_window("w", filtered, count_and_sum(10, 10));
  const int out = graph.add_collect("out", results);
  Executor executor(graph);
  executor.run(1'000'000);
  EXPECT_EQ(rows_of(executor.take_collected(out)), (Rows{{1, 0, 10, 1, 10}, {1, 100, 110, 1, 30}}));
  EXPECT_EQ(executor.metrics()[2].late_records, 1);
}

TEST(Executor, RewrittenEventTimeIsJudgedByTheSourcesWatermark) {
  // Windows over ts - 50: each row is 50 ticks older than what drives the watermark.
  BatchSourceSpec ints{
      std::make_shared<Schema>(Schema{{{"t", DataType::of(TypeId::kInt64), true}}}), nullptr,
      WatermarkSpec{"t", 0}};
  FixedBuilder<int64_t> times(DataType::of(TypeId::kInt64));
  for (const int64_t time : {55, 70, 75}) times.append(time);
  ints.next = read_batches({{ints.schema, 3, {times.finish()}}});
  Graph shifted;
  const Port in = shifted.add_batch_source("ints", std::move(ints));
  const Port older =
      shifted.add_project("older", in, {{{"t", call(Function::kSubtract, {col("t"), lit(50)})}}});
  WindowSpec spec;
  spec.aggregation.window = {10, 10, 0};
  spec.aggregation.aggregates = {{windows::AggregateKind::kCountAll, -1, "n"}};
  const int out = shifted.add_collect("out", shifted.add_window("w", older, spec));
  Executor executor(shifted);
  executor.run(1'000'000);
  EXPECT_EQ(rows_of(executor.take_collected(out)), (Rows{{0, 10, 1}}));
  EXPECT_EQ(executor.metrics()[2].late_records, 2);
}

TEST(Executor, WindowsOverWindowResultsEqualLargerWindows) {
  std::vector<Event> events;
  for (int64_t i = 0; i < 1000; ++i) events.push_back({i * 3 - (i % 7) * 2, i % 3, i});
  const auto total = [&](bool chained, int64_t round_rows) {
    Graph graph;
    Port port = graph.add_batch_source("events", batch_source({batch_of(events)}, 20));
    WindowSpec large = count_and_sum(60, 60);
    large.aggregation.aggregates = {{windows::AggregateKind::kSum, 2, "total"}};
    if (chained) {
      port = graph.add_window("small", port, count_and_sum(10, 10));
      // (key, window_start, window_end, n, total)
      large.aggregation.key_columns = {0};
      large.aggregation.event_time_column = 2;
      large.aggregation.aggregates[0].input = 4;
      large.event_time_offset = -1;
    }
    const int out = graph.add_collect("out", graph.add_window("large", port, large));
    ExecutorOptions options;
    options.round_rows = round_rows;
    const auto rows = rows_of(run_and_collect(graph, out, options));
    EXPECT_TRUE(is_sorted_by_end(rows));
    return by_end_and_key(rows);
  };
  EXPECT_EQ(total(true, 1 << 20), total(false, 1 << 20));
}

TEST(Executor, PythonStageSitsInTheMiddle) {
  std::vector<RecordBatch> batches;
  for (int64_t i = 0; i < 20; ++i)
    batches.push_back(batch_of({{i * 10, 1, i}, {i * 10 + 1, 1, i}}));
  Graph graph;
  Port port = graph.add_batch_source("events", batch_source(batches, 0));
  port = graph.add_filter("f", port, greater("value", 4));
  const Port stage = graph.add_python_stage("python", port, {event_schema()});
  const int raw = graph.add_collect("raw", stage);
  const int out = graph.add_collect("out", graph.add_window("w", stage, count_and_sum(50, 50)));
  ExecutorOptions options;
  options.round_rows = 6;
  Executor executor(graph, options);
  RunStatus status;
  int taken = 0;
  while ((status = executor.run(1'000'000)) != RunStatus::kFinished) {
    ASSERT_EQ(status, RunStatus::kPending);
    for (const int node : executor.pending()) {
      EXPECT_EQ(node, stage.node);
      while (auto batch = executor.take(node)) {
        ++taken;
        std::vector<Event> events = events_of({*batch});
        for (Event& event : events) event.value *= 2;
        executor.give(node, {batch_of(events)});
      }
    }
  }
  EXPECT_EQ(taken, 15);
  EXPECT_EQ(executor.take_collected(raw).size(), 15u);
  EXPECT_EQ(rows_of(executor.take_collected(out)),
            (Rows{{1, 50, 100, 10, 140}, {1, 100, 150, 10, 240}, {1, 150, 200, 10, 340}}));
}

TEST(Executor, StopsWithoutAFinalWatermark) {
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({batch_of({{1, 1, 1}})}, 0));
  const int out = graph.add_collect("out", graph.add_window("w", source, count_and_sum(10, 10)));
  Executor executor(graph);
  executor.request_stop();
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kStopped);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kStopped);
  EXPECT_TRUE(executor.take_collected(out).empty());
}

TEST(Executor, RoundsEndAtTheBudget) {
  std::vector<RecordBatch> batches(10, batch_of({{1, 1, 1}}));
  Graph graph;
  const int out = graph.add_collect("out", graph.add_batch_source("e", batch_source(batches, 0)));
  ExecutorOptions options;
  options.round_batches = 1;
  Executor executor(graph, options);
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  EXPECT_EQ(executor.take_collected(out).size(), 1u);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  EXPECT_EQ(executor.take_collected(out).size(), 9u);
  EXPECT_EQ(executor.run(0), RunStatus::kFinished);
}

Error error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kConfig, ""};
}

std::string text_fact(const Error& error, const std::string& key) {
  for (const auto& [name, value] : error.facts()) {
    if (name == key) return std::get<std::string>(value);
  }
  return "";
}

TEST(ExecutorErrors, NullEventTimeNamesTheRow) {
  FixedBuilder<int64_t> ts(event_schema()->fields[0].type);
  ts.append(1);
  ts.append_null();
  RecordBatch batch = batch_of({{1, 1, 1}, {2, 2, 2}});
  batch.columns[0] = ts.finish();
  Graph graph;
  const Port source =
      graph.add_batch_source("events", batch_source({batch_of({{0, 0, 0}}), batch}, 0));
  const Port results = graph.add_window("totals", source, count_and_sum(10, 10));
  const int out = graph.add_collect("out", results);
  Executor executor(graph);
  const Error error = error_of([&] { executor.run(1'000'000); });
  EXPECT_EQ(error.code(), ErrorCode::kOperator);
  EXPECT_EQ(text_fact(error, "operator"), "events");
  EXPECT_NE(std::string(error.what()).find("row 2"), std::string::npos) << error.what();
  EXPECT_TRUE(executor.take_collected(out).empty());
  EXPECT_EQ(error_of([&] { executor.run(1'000'000); }).code(), ErrorCode::kClosed);
}

TEST(ExecutorErrors, FailingExpressionNamesTheOperatorAndNothingOfItsRoundComesOut) {
  Graph graph;
  const Port source = graph.add_batch_source(
      "events", batch_source({batch_of({{1, 1, 1}}), batch_of({{2, 1, INT64_MAX}})}, 0));
  const Port projected = graph.add_project(
      "double it", source, {{{"v", call(Function::kMultiply, {col("value"), lit(2)})}}});
  const int out = graph.add_collect("out", projected);
  Executor executor(graph);
  const Error error = error_of([&] { executor.run(1'000'000); });
  EXPECT_EQ(error.code(), ErrorCode::kOperator);
  EXPECT_EQ(text_fact(error, "operator"), "double it");
  EXPECT_TRUE(executor.take_collected(out).empty());
}

TEST(ExecutorErrors, OptionsAndNodesAreChecked) {
  Graph graph;
  EXPECT_EQ(error_of([&] { Executor{graph}; }).code(), ErrorCode::kConfig);
  const Port source = graph.add_batch_source("events", batch_source({}, 0));
  const Error nowhere = error_of([&] { Executor{graph}; });
  EXPECT_EQ(text_fact(nowhere, "operator"), "events");
  const int out = graph.add_collect("out", source);
  ExecutorOptions options;
  options.threads = 0;
  EXPECT_EQ(error_of([&] { Executor(graph, options); }).code(), ErrorCode::kConfig);
  Executor executor(graph);
  EXPECT_EQ(error_of([&] { executor.take(out); }).code(), ErrorCode::kConfig);
  EXPECT_EQ(error_of([&] { executor.take_collected(source.node); }).code(), ErrorCode::kConfig);
  EXPECT_EQ(error_of([&] { executor.positions(out); }).code(), ErrorCode::kConfig);
}

TEST(GraphErrors, NameTheOperator) {
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({}, 0));
  const auto expect = [&](ErrorCode code, const std::function<void()>& act) {
    const size_t before = graph.nodes().size();
    const Error error = error_of(act);
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(text_fact(error, "operator"), "x") << error.what();
    EXPECT_EQ(graph.nodes().size(), before);
  };
  expect(ErrorCode::kSchema, [&] { graph.add_filter("x", source, {col("value")}); });
  expect(ErrorCode::kSchema, [&] { graph.add_filter("x", source, greater("nothing", 1)); });
  expect(ErrorCode::kConfig, [&] { graph.add_project("x", source, {}); });
  expect(ErrorCode::kConfig,
         [&] { graph.add_project("x", source, {{{"a", col("key")}, {"a", col("value")}}}); });
  expect(ErrorCode::kConfig, [&] { graph.add_window("x", source, count_and_sum(0, 0)); });
  WindowSpec other_time = count_and_sum(10, 10);
  other_time.aggregation.event_time_column = 1;  // int64, but the watermark counts milliseconds
  expect(ErrorCode::kSchema, [&] { graph.add_window("x", source, other_time); });
  other_time.aggregation.event_time_column = 9;
  expect(ErrorCode::kConfig, [&] { graph.add_window("x", source, other_time); });
  expect(ErrorCode::kConfig, [&] { graph.add_topic_source("x", {}); });
  expect(ErrorCode::kConfig, [&] { graph.add_topic_sink("x", source, {}); });
  BatchSourceSpec no_such = batch_source({}, 0);
  no_such.watermark->event_time_column = "when";
  expect(ErrorCode::kSchema, [&] { graph.add_batch_source("x", no_such); });
  expect(ErrorCode::kConfig, [&] { graph.add_batch_source("x", batch_source({}, -1)); });
  EXPECT_EQ(error_of([&] { graph.schema({7, 0}); }).code(), ErrorCode::kConfig);
  EXPECT_EQ(error_of([&] { graph.schema({source.node, 1}); }).code(), ErrorCode::kConfig);
}

}  // namespace
}  // namespace pystream::runtime
