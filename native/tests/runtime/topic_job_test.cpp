// Whole jobs from topic to topic.

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/error.hpp"
#include "runtime/executor.hpp"
#include "runtime/hybrid_reader.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;
using Rows = std::vector<std::vector<int64_t>>;

struct Results {
  Rows rows;
  std::vector<Event> late;
  bool operator==(const Results&) const = default;
};

Results run_windows(const TempLog& log, const Partitions& topic, int64_t delay, int64_t size,
                    int64_t slide, const ExecutorOptions& options) {
  Graph graph;
  const Port source = graph.add_topic_source("events", topic_source(log, topic, delay));
  const Port window = graph.add_window("w", source, count_and_sum(size, slide));
  const int out = graph.add_collect("out", window);
  const int late = graph.add_collect("late", {window.node, kLateOutput});
  Executor executor(graph, options);
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  Results results;
  const Rows rows = rows_of(executor.take_collected(out));
  EXPECT_TRUE(is_sorted_by_end(rows));
  results.rows = by_end_and_key(rows);
  results.late = events_of(executor.take_collected(late));
  return results;
}

TEST(TopicJob, PartitionsAreReadInAppendOrder) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[1], {{3, 1, 1}});
  append(*topic[0], {{1, 1, 2}, {2, 1, 3}});
  append(*topic[1], {{4, 1, 4}});
  Graph graph;
  const int out =
      graph.add_collect("out", graph.add_topic_source("events", topic_source(log, topic, 0)));
  EXPECT_EQ(events_of(run_and_collect(graph, out)),
            (std::vector<Event>{{3, 1, 1}, {1, 1, 2}, {2, 1, 3}, {4, 1, 4}}));
}

TEST(TopicJob, AnEmptyPartitionHoldsTheWatermark) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{1, 1, 1}, {100, 1, 1}, {2, 1, 1}});
  const Results results = run_windows(log, topic, 0, 10, 10, {});
  EXPECT_EQ(results.rows, (Rows{{1, 0, 10, 2, 2}, {1, 100, 110, 1, 1}}));
  EXPECT_TRUE(results.late.empty());
}

// Random batches over three partitions against the record-by-record model, for any number of
// threads, chunk and round sizes.
TEST(TopicJob, EqualsTheModelWhateverTheThreadsAndRounds) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 12; ++round) {
    TempLog log;
    const int count = static_cast<int>(random() % 3) + 1;
    const Partitions topic = log.topic("events", count);
    const int64_t delay = static_cast<int64_t>(random() % 40);
    const int64_t size = static_cast<int64_t>(random() % 50) + 1;
    const int64_t slide = round % 2 == 0 ? size : size / 3 + 1;
    WindowModel model(count, delay, size, slide);
    int64_t now = -300;
    for (int batch = 0; batch < 60; ++batch) {
      const int partition = static_cast<int>(random() % static_cast<uint64_t>(count));
      std::vector<Event> events(random() % 30 + 1);
      for (Event& event : events) {
        now += static_cast<int64_t>(random() % 4);
        event = {now - static_cast<int64_t>(random() % 80), static_cast<int64_t>(random() % 5),
                 static_cast<int64_t>(random() % 100)};
        model.add(partition, event);
      }
      append(*topic[static_cast<size_t>(partition)], events);
    }
    for (const int threads : {1, 2, 3}) {
      ExecutorOptions options;
      options.threads = threads;
      options.chunk_rows = 64;
      options.round_rows = threads == 2 ? 100 : 1 << 20;
      const Results got = run_windows(log, topic, delay, size, slide, options);
      ASSERT_EQ(got.rows, model.results()) << "round " << round << " threads " << threads;
      ASSERT_EQ(got.late, model.late()) << "round " << round << " threads " << threads;
    }
  }
}

TEST(TopicJob, StatelessOutputKeepsAppendOrderOnEveryNumberOfThreads) {
  TempLog log;
  const Partitions topic = log.topic("events", 3);
  std::vector<Event> expected;
  for (int64_t i = 0; i < 300; ++i) {
    append(*topic[static_cast<size_t>(i * 7 % 3)], {{i, i, i}, {i, i, -i}});
    if (i > 0) expected.push_back({i, i, i});
  }
  for (const int threads : {1, 2, 3}) {
    const Partitions target = log.topic("out-" + std::to_string(threads), 1);
    Graph graph;
    const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
    const Port kept = graph.add_filter("f", source, greater("value", 0));
    graph.add_topic_sink("sink", kept, {target, {}, storage::Acks::kPublished});
    ExecutorOptions options;
    options.threads = threads;
    options.round_batches = 50;
    Executor executor(graph, options);
    while (executor.run(1'000'000) != RunStatus::kFinished) {
    }
    EXPECT_EQ(events_of(read_partition(*target[0])), expected);
  }
}

TEST(TopicJob, LateRowsGoToATopicOfTheirOwn) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}, {50, 1, 2}, {2, 1, 3}, {51, 2, 4}, {3, 2, 5}});
  const Partitions late = log.topic("late", 2);
  const Partitions totals = log.topic("totals", 1, [&] {
    Graph graph;
    const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
    return graph.schema(graph.add_window("w", source, count_and_sum(10, 10)));
  }());
  Graph graph;
  const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
  const Port window = graph.add_window("w", source, count_and_sum(10, 10));
  graph.add_topic_sink("late sink", {window.node, kLateOutput},
                       {late, {1}, storage::Acks::kInterval, storage::Codec::kLz4, 0});
  graph.add_topic_sink("sink", window,
                       {totals, {0}, storage::Acks::kInterval, storage::Codec::kNone, 2});
  Executor executor(graph);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  std::vector<Event> got;
  for (const auto& partition : late) {
    const auto events = events_of(read_partition(*partition));
    got.insert(got.end(), events.begin(), events.end());
  }
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<Event>{{2, 1, 3}, {3, 2, 5}}));
  EXPECT_EQ(by_end_and_key(rows_of(read_partition(*totals[0]))),
            (Rows{{1, 0, 10, 1, 1}, {1, 50, 60, 1, 2}, {2, 50, 60, 1, 4}}));
  // Record timestamps: window_end in microseconds.
  const auto batch = totals[0]->reader(0)->next();
  EXPECT_EQ(batch->header().min_timestamp, 10'000);
}

TEST(TopicJob, KeylessRowsGoToOnePartitionAfterTheOtherWhateverTheCuts) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  std::vector<Event> events(5000);
  for (int64_t i = 0; i < 5000; ++i) events[static_cast<size_t>(i)] = {i, i, i};
  for (int64_t i = 0; i < 5; ++i) {
    append(*topic[0], {events.begin() + i * 1000, events.begin() + (i + 1) * 1000});
  }
  std::vector<std::vector<Event>> seen[2];
  for (const int64_t round_batches : {1, 100}) {
    const Partitions target = log.topic("out-" + std::to_string(round_batches), 2);
    Graph graph;
    const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
    graph.add_topic_sink("sink", source, sink_to(target));
    ExecutorOptions options;
    options.round_batches = round_batches;
    Executor executor(graph, options);
    while (executor.run(1'000'000) != RunStatus::kFinished) {
    }
    for (const auto& partition : target) {
      seen[round_batches == 1].push_back(events_of(read_partition(*partition)));
    }
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0][0].size(), 1024u * 2 + (5000 - 4 * 1024));
  EXPECT_EQ(seen[0][1].front(), (Event{1024, 1024, 1024}));
}

TEST(TopicJob, StartsInsideABatch) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{100, 1, 0}, {1, 1, 1}, {2, 1, 2}});
  append(*topic[0], {{3, 1, 3}});
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.start_offsets = {1};
  Graph graph;
  const Port source = graph.add_topic_source("events", spec);
  const int out = graph.add_collect("out", source);
  // The record at 100 was not read, so it makes nothing late.
  const int windows =
      graph.add_collect("windows", graph.add_window("w", source, count_and_sum(2, 2)));
  Executor executor(graph);
  EXPECT_EQ(executor.positions(source.node), (std::vector<int64_t>{1}));
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  EXPECT_EQ(executor.positions(source.node), (std::vector<int64_t>{4}));
  EXPECT_EQ(events_of(executor.take_collected(out)),
            (std::vector<Event>{{1, 1, 1}, {2, 1, 2}, {3, 1, 3}}));
  EXPECT_EQ(rows_of(executor.take_collected(windows)), (Rows{{1, 0, 2, 1, 1}, {1, 2, 4, 2, 5}}));
}

TEST(TopicJob, BoundedSourceStopsAtTheEndsOfTheFirstRun) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{1, 1, 1}});
  append(*topic[1], {{2, 2, 2}});
  Graph graph;
  const int out =
      graph.add_collect("out", graph.add_topic_source("events", topic_source(log, topic, 0)));
  ExecutorOptions options;
  options.round_batches = 1;
  Executor executor(graph, options);
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  append(*topic[0], {{3, 3, 3}});
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  EXPECT_EQ(events_of(executor.take_collected(out)), (std::vector<Event>{{1, 1, 1}, {2, 2, 2}}));
}

TEST(TopicJob, TailingSourceSeesWhatIsAppendedAndStopSendsNoFinalWatermark) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.bounded = false;
  Graph graph;
  const Port source = graph.add_topic_source("events", spec);
  const int out = graph.add_collect("out", graph.add_window("w", source, count_and_sum(10, 10)));
  ExecutorOptions options;
  options.threads = 2;
  Executor executor(graph, options);
  EXPECT_EQ(executor.run(0), RunStatus::kIdle);
  append(*topic[0], {{1, 1, 1}, {20, 1, 1}});
  append(*topic[1], {{2, 1, 1}});
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  EXPECT_TRUE(executor.take_collected(out).empty());
  append(*topic[1], {{15, 1, 1}});
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  EXPECT_EQ(rows_of(executor.take_collected(out)), (Rows{{1, 0, 10, 2, 2}}));
  // A waiting run is woken by an append, and then by the stop.
  std::thread other([&] {
    append(*topic[0], {{40, 1, 1}});
    append(*topic[1], {{41, 1, 1}});
    executor.request_stop();
  });
  while (executor.run(60'000'000) != RunStatus::kStopped) {
  }
  other.join();
  for (const auto& row : rows_of(executor.take_collected(out))) EXPECT_LT(row[2], 41);
}

// Another process gives the topic a column: the running source keeps the columns that it had, and a
// new one has nulls where they were not.
TEST(TopicJob, ATopicGetsMoreColumnsUnderARunningSource) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.bounded = false;
  Graph graph;
  const int out = graph.add_collect("out", graph.add_topic_source("events", spec));
  Executor executor(graph);
  append(*topic[0], {{1, 1, 1}});
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  auto wider = std::make_shared<Schema>(*event_schema());
  wider->fields.push_back({"extra", DataType::of(TypeId::kInt64), true});
  // One partition learns of it now, the other when it appends.
  topic[0]->set_schema(1, wider);
  RecordBatch wide = batch_of({{2, 1, 2}});
  wide.schema = wider;
  wide.columns.push_back(make_constant_int64(DataType::of(TypeId::kInt64), 7, 1));
  storage::EncodeOptions options;
  options.schema_id = 1;
  storage::Timestamps timestamps;
  timestamps.constant_us = 1;
  storage::EncodedBatch encoded = storage::encode_batch(wide, timestamps, nullptr, options);
  topic[0]->append(&encoded, storage::Acks::kPublished);
  append(*topic[1], {{3, 1, 3}});
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  const std::vector<RecordBatch> seen = executor.take_collected(out);
  EXPECT_EQ(events_of(seen), (std::vector<Event>{{1, 1, 1}, {2, 1, 2}, {3, 1, 3}}));
  for (const RecordBatch& batch : seen) EXPECT_EQ(batch.columns.size(), 3U);

  Graph later;
  const int all =
      later.add_collect("out", later.add_topic_source("events", topic_source(log, topic, 0)));
  std::vector<int64_t> extra;
  for (const RecordBatch& batch : run_and_collect(later, all)) {
    ASSERT_EQ(batch.columns.size(), 4U);
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      const Array& column = batch.columns[3];
      extra.push_back(column.is_valid(row) ? column.data<int64_t>()[row] : -1);
    }
  }
  EXPECT_EQ(extra, (std::vector<int64_t>{-1, 7, -1}));
}

TEST(TopicJob, HistoryComesFirstAndItsWatermarkHoldsForEveryPartition) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{9, 1, 2}, {31, 1, 4}, {12, 1, 32}});
  append(*topic[1], {{12, 1, 8}});
  TopicSourceSpec spec = topic_source(log, topic, 0);
  // 20 moves the watermark to 19 and closes [0, 10) for the 9; of [10, 20), nothing is left either.
  spec.history = read_batches({batch_of({{5, 1, 1}}), batch_of({{20, 1, 16}})});
  for (const int threads : {1, 2}) {
    Graph graph;
    const Port source = graph.add_topic_source("events", spec);
    const Port results = graph.add_window("totals", source, count_and_sum(10, 10));
    const int out = graph.add_collect("out", results);
    const int late = graph.add_collect("late", {results.node, kLateOutput});
    ExecutorOptions options;
    options.threads = threads;
    Executor executor(graph, options);
    EXPECT_EQ(executor.run(60'000'000), RunStatus::kFinished);
    EXPECT_EQ(rows_of(executor.take_collected(out)),
              (Rows{{1, 0, 10, 1, 1}, {1, 20, 30, 1, 16}, {1, 30, 40, 1, 4}}));
    EXPECT_EQ(events_of(executor.take_collected(late)),
              (std::vector<Event>{{9, 1, 2}, {12, 1, 32}, {12, 1, 8}}));
    EXPECT_EQ(executor.metrics()[0].kind, "hybrid source");
    EXPECT_EQ(executor.metrics()[0].records_in, 6);
    spec.history = read_batches({batch_of({{5, 1, 1}}), batch_of({{20, 1, 16}})});
  }
}

TEST(TopicJob, RowsBehindAHistoryCarryTheWatermarkThatItReached) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{9, 1, 2}});
  append(*topic[1], {{40, 1, 4}});
  append(*topic[0], {{50, 1, 4}});
  TopicSourceSpec spec = topic_source(log, topic, 3);
  spec.schema = event_schema();
  spec.history = read_batches({batch_of({{5, 1, 1}, {20, 1, 16}})});
  HybridReader reader("events", spec, {"ts", "key", "value"});
  const RoundLimits limits{1000, 1 << 20, 10};
  std::vector<SourceBatch> round;
  reader.next_round(limits, &round);
  ASSERT_EQ(round.size(), 1);
  EXPECT_EQ(round[0].num_rows, 2);
  EXPECT_EQ(reader.watermark(), 20 - 3 - 1);
  round.clear();
  reader.next_round(limits, &round);
  ASSERT_EQ(round.size(), 3);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(round[i].marks.own_before, 20);
    EXPECT_EQ(round[i].marks.others, 20);
    EXPECT_EQ(round[i].marks.before, 16);
    EXPECT_EQ(round[i].marks.after, 16);
  }
  EXPECT_EQ(round[2].marks.others, 40);
  EXPECT_EQ(round[2].marks.after, 36);
  EXPECT_EQ(reader.watermark(), 36);
  EXPECT_TRUE(reader.has_ended());
}

TEST(TopicJob, RecordTimestampCanBeTheEventTime) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  storage::Timestamps timestamps;
  FixedBuilder<int64_t> stamps(DataType::of(TypeId::kInt64));
  for (const int64_t stamp : {5, 25, 6}) stamps.append(stamp);
  timestamps.per_record = stamps.finish();
  auto encoded =
      storage::encode_batch(batch_of({{0, 1, 1}, {0, 1, 2}, {0, 1, 4}}), timestamps, nullptr, {});
  topic[0]->append(&encoded, storage::Acks::kPublished);
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.timestamp_column = "timestamp";
  spec.watermark->event_time_column = "timestamp";
  Graph graph;
  const Port source = graph.add_topic_source("events", spec);
  EXPECT_EQ(graph.schema(source)->to_string(),
            event_schema()->to_string() + ", timestamp: timestamp[us] not null");
  WindowSpec window = count_and_sum(10, 10);
  window.aggregation.event_time_column = 3;
  const Port results = graph.add_window("w", source, window);
  const int out = graph.add_collect("out", results);
  Executor executor(graph);
  EXPECT_EQ(executor.columns_read(source.node),
            (std::vector<std::string>{"key", "value", "timestamp"}));
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  EXPECT_EQ(rows_of(executor.take_collected(out)), (Rows{{1, 0, 10, 1, 1}, {1, 20, 30, 1, 2}}));
  EXPECT_EQ(executor.metrics()[1].late_records, 1);
}

TEST(TopicJob, ErrorNamesTopicPartitionAndOffsetOfTheFirstBadBatchOnEveryNumberOfThreads) {
  TempLog log;
  const Partitions topic = log.topic("orders", 2);
  append(*topic[0], {{1, 1, 1}});
  append(*topic[1], {{1, 1, 1}, {2, 1, 1}});
  append(*topic[1], {{3, 1, INT64_MAX}});
  append(*topic[0], {{3, 1, INT64_MAX}});
  for (const int threads : {1, 2}) {
    const Partitions target = log.topic("out-" + std::to_string(threads), 1, [] {
      return std::make_shared<Schema>(Schema{{{"v", DataType::of(TypeId::kInt64), true}}});
    }());
    Graph graph;
    const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
    const Port twice = graph.add_project(
        "twice", source, {{{"v", call(expressions::Function::kMultiply, {col("value"), lit(2)})}}});
    graph.add_topic_sink("sink", twice, sink_to(target));
    ExecutorOptions options;
    options.threads = threads;
    Executor executor(graph, options);
    try {
      executor.run(1'000'000);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOperator);
      const auto facts = std::map(error.facts().begin(), error.facts().end());
      EXPECT_EQ(std::get<std::string>(facts.at("operator")), "twice");
      EXPECT_EQ(std::get<std::string>(facts.at("topic")), "orders");
      EXPECT_EQ(std::get<int64_t>(facts.at("partition")), 1);
      EXPECT_EQ(std::get<int64_t>(facts.at("offset")), 2);
      EXPECT_NE(std::string(error.what()).find("orders-1 offset 2"), std::string::npos)
          << error.what();
    }
    EXPECT_EQ(target[0]->ends().log_end_offset, 0);
  }
}

TEST(TopicJob, SinkOfAnotherSchemaIsRefused) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  const auto other =
      std::make_shared<Schema>(Schema{{{"ts", event_schema()->fields[0].type, true}}});
  const Partitions target = log.topic("out", 1, other);
  Graph graph;
  const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
  EXPECT_THROW(graph.add_topic_sink("sink", source, sink_to(target)), Error);
  TopicSourceSpec wrong = topic_source(log, topic, 0);
  wrong.start_offsets = {0, 0};
  EXPECT_THROW(graph.add_topic_source("again", wrong), Error);
}

TEST(TopicJob, StartOffsetOutOfRangeIsRefused) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.start_offsets = {5};
  Graph graph;
  graph.add_collect("out", graph.add_topic_source("events", spec));
  try {
    Executor executor(graph);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOffsetOutOfRange);
  }
}

}  // namespace
}  // namespace pystream::runtime
