// Jobs that end between two rounds, and others that go on from their snapshots.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "restart_support.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;

// Event time goes on by 7 with each batch.
std::vector<RecordBatch> random_batches(std::mt19937& random, int count, int64_t jitter,
                                        int64_t start = 0) {
  std::vector<RecordBatch> batches;
  for (int i = 0; i < count; ++i) {
    std::vector<Event> events;
    for (uint64_t row = 0; row < 1 + random() % 5; ++row) {
      const auto behind = static_cast<int64_t>(random() % static_cast<uint64_t>(jitter));
      events.push_back({start + i * 7 - behind, static_cast<int64_t>(random() % 4), i});
    }
    batches.push_back(batch_of(events));
  }
  return batches;
}

class GoesOn : public ::testing::TestWithParam<int> {
 protected:
  void check(const Job& job) {
    for (const int threads : {1, 2}) {
      ExecutorOptions options;
      options.threads = threads;
      options.turn_rows = 7;
      const Results expected = run_through(job, options);
      EXPECT_FALSE(expected[0].empty());
      for (const int64_t rows : {1, 10}) {
        options.round_rows = rows;
        EXPECT_EQ(difference(run_through(job, options), expected), "")
            << threads << " threads, in one go, rows " << rows;
        EXPECT_EQ(difference(run_in_parts(job, options, 1), expected), "")
            << threads << " threads, rows " << rows;
      }
      // Out of several snapshots, keys of one come behind those of the other.
      EXPECT_EQ(difference(sorted(run_in_parts(job, options, 3)), sorted(expected)), "")
          << threads << " threads, split";
    }
  }

  // A topic of three partitions, of which one has records to its middle only.
  TopicSourceSpec topic(const std::string& name, std::mt19937& random) {
    const Partitions partitions = log_.topic(name, 3);
    int batch = 0;
    for (const RecordBatch& rows : random_batches(random, 60, 30)) {
      append_later(random, *partitions[++batch > 30 ? random() % 2 : random() % 3], rows);
    }
    return topic_source(log_, partitions, 10);
  }

  // Two topics that are written in turns, each with idleness: the first becomes idle while the
  // other is written, and comes back behind it.
  std::pair<TopicSourceSpec, TopicSourceSpec> topics_in_turns(std::mt19937& random) {
    const std::vector<Partitions> topics{log_.topic("ones", 2), log_.topic("others", 2)};
    const std::vector<std::vector<RecordBatch>> batches{random_batches(random, 120, 60, -80),
                                                        random_batches(random, 120, 60)};
    size_t turn = 0;
    for (size_t i = 0; i < 120; ++i) {
      if (random() % 12 == 0) turn = 1 - turn;
      append_later(random, *topics[turn][random() % 2], batches[turn][i]);
    }
    std::pair specs{topic_source(log_, topics[0], 10), topic_source(log_, topics[1], 10)};
    specs.first.watermark->idleness = IdlenessSpec{15, GetParam() % 2 == 0};
    specs.second.watermark->idleness = IdlenessSpec{15, GetParam() % 4 < 2};
    return specs;
  }

  void add_window(Job* job, Port port) {
    const Port window = job->graph.add_window("window", port, count_and_sum(40, 20));
    const Port next = job->graph.add_window("next", window, over_windows());
    job->collects.push_back(job->graph.add_collect("out", window));
    job->collects.push_back(job->graph.add_collect("late", {window.node, kLateOutput}));
    job->collects.push_back(job->graph.add_collect("over", next));
  }

  // The columns of results are key, window_start, window_end, n, total.
  static WindowSpec over_windows() {
    WindowSpec spec;
    spec.aggregation.window = {80, 80, 0};
    spec.aggregation.key_columns = {0};
    spec.aggregation.event_time_column = 2;
    spec.aggregation.aggregates = {{windows::AggregateKind::kSum, 3, "n"}};
    spec.event_time_offset = -1;
    return spec;
  }

  // Idleness goes by the times of appends.
  void append_later(std::mt19937& random, storage::Partition& partition, const RecordBatch& rows) {
    *clock_ += static_cast<int64_t>(random() % 12);
    append(partition, rows);
  }

  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>(1'000);
  TempLog log_{clock_};
};

TEST_P(GoesOn, InMemory) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  add_window(&job,
             job.graph.add_batch_source("events", batch_source(random_batches(random, 30, 30), 5)));
  check(job);
}

TEST_P(GoesOn, InATopic) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  add_window(&job, job.graph.add_topic_source("events", topic("events", random)));
  check(job);
}

TEST_P(GoesOn, WithIdlePartitions) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  TopicSourceSpec spec = topic("events", random);
  const auto advances = GetParam() % 2 == 0;
  spec.watermark->idleness = IdlenessSpec{20 + static_cast<int64_t>(random() % 100), advances};
  add_window(&job, job.graph.add_topic_source("events", spec));
  check(job);
}

TEST_P(GoesOn, FromHistoryToATopic) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  TopicSourceSpec spec = topic("events", random);
  spec.history = read_batches(random_batches(random, 10, 30));
  add_window(&job, job.graph.add_topic_source("events", spec));
  check(job);
}

TEST_P(GoesOn, WhereSourcesMeet) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  Graph& graph = job.graph;
  const auto in_memory = [&](const char* name) {
    return graph.add_batch_source(name, batch_source(random_batches(random, 20, 30), 5));
  };
  const Port one = in_memory("one");
  const Port two = in_memory("two");
  const auto [ones, others] = topics_in_turns(random);
  const Port three = graph.add_topic_source("three", ones);
  const Port four = graph.add_topic_source("four", others);
  const Port all = graph.add_union("all", {one, two, three, four});
  add_window(&job, all);
  // Rows that come by two ways, and results of windows, are put in order.
  const Port twice =
      graph.add_union("twice", {all, graph.add_filter("f", all, greater("value", 9))});
  job.collects.push_back(graph.add_collect("both", twice));
  check(job);
}

TEST_P(GoesOn, WhereResultsMeet) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  Job job;
  Graph& graph = job.graph;
  const auto [ones, others] = topics_in_turns(random);
  const Port one = graph.add_topic_source("one", ones);
  const Port two = graph.add_topic_source("two", others);
  const Port fast =
      graph.add_window("fast", graph.add_union("all", {one, two}), count_and_sum(20, 20));
  const Port slow = graph.add_window("slow", one, count_and_sum(60, 60));
  const Port results = graph.add_union("results", {fast, slow});
  job.collects.push_back(graph.add_collect("merged", results));
  const Port next = graph.add_window("next", results, over_windows());
  job.collects.push_back(graph.add_collect("over", next));
  job.collects.push_back(graph.add_collect("late", {next.node, kLateOutput}));
  check(job);
}

// The last four are inputs on which one rule or another makes a difference, which few do.
INSTANTIATE_TEST_SUITE_P(JobSnapshot, GoesOn, ::testing::Values(1, 28, 30, 34, 35));

TEST(JobSnapshot, TheWatermarkOfSeveralSourcesDoesNotGoBack) {
  const auto clock = std::make_shared<ManualClock>(1'000);
  TempLog log(clock);
  const Partitions ones = log.topic("ones", 1);
  const Partitions others = log.topic("others", 1);
  const auto append_at = [&](int64_t time, const Partitions& topic, int64_t ts) {
    *clock = 1'000 + time;
    append(*topic[0], {{ts, 1, time}});
  };
  append_at(0, ones, 10);
  append_at(10, others, 100);
  append_at(20, others, 110);  // the first one has been idle for long
  append_at(21, ones, 20);
  append_at(22, ones, 30);
  TopicSourceSpec spec = topic_source(log, ones, 0);
  spec.watermark->idleness = IdlenessSpec{5, false};
  Job job;
  const Port union_of = job.graph.add_union(
      "all", {job.graph.add_topic_source("ones", spec),
              job.graph.add_topic_source("others", topic_source(log, others, 0))});
  const Port window = job.graph.add_window("w", union_of, count_and_sum(10, 10));
  job.collects = {job.graph.add_collect("late", {window.node, kLateOutput})};
  ExecutorOptions options;
  options.round_rows = 1;
  Results results;
  std::vector<int64_t> watermarks;
  auto executor = std::make_unique<Executor>(job.graph, options);
  while (executor->run(0) != RunStatus::kFinished) {
    const JobSnapshot snapshot = snapshot_of(*executor, job, &results);
    watermarks.push_back(executor->metrics()[2].watermark);
    executor = std::make_unique<Executor>(job.graph, options, std::vector{snapshot});
  }
  take(*executor, job, &results);
  EXPECT_EQ(results[0], (ResultRows{{20, 1, 21}, {30, 1, 22}}));
  EXPECT_TRUE(std::is_sorted(watermarks.begin(), watermarks.end()))
      << ::testing::PrintToString(watermarks);
  EXPECT_NE(std::find(watermarks.begin(), watermarks.end(), 109), watermarks.end());
}

// Of equal event times, the row that came first is the first one.
TEST(JobSnapshot, RowsAreNumberedOn) {
  Job job;
  WindowSpec spec = count_and_sum(10, 10);
  spec.aggregation.aggregates = {{windows::AggregateKind::kFirst, 2, "first"},
                                 {windows::AggregateKind::kLast, 2, "last"}};
  std::vector<RecordBatch> batches;
  for (int64_t value = 1; value <= 4; ++value) batches.push_back(batch_of({{5, 1, value}}));
  const Port source = job.graph.add_batch_source("events", batch_source(batches, 0));
  job.collects = {job.graph.add_collect("out", job.graph.add_window("w", source, spec))};
  ExecutorOptions options;
  options.round_rows = 1;
  EXPECT_EQ(run_in_parts(job, options, 1)[0], (ResultRows{{1, 0, 10, 1, 4}}));
}

// Rows with the time of the clock, in milliseconds, as their last column.
TEST(JobSnapshot, TheClockDoesNotGoBack) {
  const auto clock = std::make_shared<ManualClock>(7'000'000);
  Job job;
  const Port source = job.graph.add_batch_source(
      "events", batch_source({batch_of({{1, 1, 1}}), batch_of({{2, 1, 2}})}, 0));
  const Port timed = job.graph.add_processing_time("time", source, {"now"});
  job.collects = {job.graph.add_collect("out", timed)};
  ExecutorOptions options;
  options.clock = clock;
  options.round_rows = 1;
  Executor executor(job.graph, options);
  Results results;
  executor.run(0);
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  *clock = 5'000'000;
  Executor next(job.graph, options, {snapshot});
  EXPECT_EQ(next.run(1'000'000), RunStatus::kFinished);
  take(next, job, &results);
  EXPECT_EQ(results[0], (ResultRows{{1, 1, 1, 7'000}, {2, 1, 2, 7'000}}));
}

}  // namespace
}  // namespace pystream::runtime
