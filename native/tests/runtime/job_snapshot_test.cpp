// Jobs that end between two rounds, and others that go on from their snapshots.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "base/error.hpp"
#include "runtime/executor.hpp"
#include "runtime/topic_reader.hpp"
#include "state/plain_table.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;
using Rows = std::vector<std::vector<int64_t>>;

// A graph whose inputs begin anew with each executor, and its collects.
struct Job {
  Graph graph;
  std::vector<int> collects;
};

using Results = std::vector<Rows>;  // per collect

void take(Executor& executor, const Job& job, Results* results) {
  results->resize(job.collects.size());
  for (size_t i = 0; i < job.collects.size(); ++i) {
    const Rows rows = rows_of(executor.take_collected(job.collects[i]));
    (*results)[i].insert((*results)[i].end(), rows.begin(), rows.end());
  }
}

Results run_through(const Job& job, const ExecutorOptions& options) {
  Executor executor(job.graph, options);
  Results results;
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  take(executor, job, &results);
  return results;
}

JobSnapshot snapshot_of(Executor& executor, const Job& job, Results* results) {
  for (;;) {
    take(executor, job, results);
    if (auto snapshot = executor.snapshot()) return std::move(*snapshot);
  }
}

// After each round another executor goes on.
Results run_in_parts(const Job& job, const ExecutorOptions& options, int parts) {
  Results results;
  auto executor = std::make_unique<Executor>(job.graph, options);
  while (executor->run(0) != RunStatus::kFinished) {
    const JobSnapshot whole = snapshot_of(*executor, job, &results);
    std::vector<JobSnapshot> split;
    for (int part = 0; part < parts; ++part) {
      split.push_back(
          select(whole, state::key_group_range(part, parts, state::kDefaultMaxParallelism)));
    }
    executor = std::make_unique<Executor>(job.graph, options, split);
  }
  take(*executor, job, &results);
  return results;
}

// The first row that differs; nothing where all are equal.
std::string difference(const Results& got, const Results& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    for (size_t row = 0; row < std::max(got[i].size(), expected[i].size()); ++row) {
      const auto text = [&](const Rows& rows) {
        return row < rows.size() ? ::testing::PrintToString(rows[row]) : "nothing";
      };
      if (text(got[i]) == text(expected[i])) continue;
      return "collect " + std::to_string(i) + ", row " + std::to_string(row) + " is " +
             text(got[i]) + " instead of " + text(expected[i]);
    }
  }
  return "";
}

Results sorted(Results results) {
  for (Rows& rows : results) std::sort(rows.begin(), rows.end());
  return results;
}

ErrorCode code_of(const std::function<void()>& call, const std::string& part) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

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
  EXPECT_EQ(results[0], (Rows{{20, 1, 21}, {30, 1, 22}}));
  EXPECT_TRUE(std::is_sorted(watermarks.begin(), watermarks.end()))
      << ::testing::PrintToString(watermarks);
  EXPECT_NE(std::find(watermarks.begin(), watermarks.end(), 109), watermarks.end());
}

// Topic source "events" to collect "out".
Job copy_of(const TopicSourceSpec& spec) {
  Job job;
  job.collects.push_back(job.graph.add_collect("out", job.graph.add_topic_source("events", spec)));
  return job;
}

TEST(JobSnapshot, SaysWhereSourcesAre) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[1], {{3, 1, 1}});
  append(*topic[0], {{1, 1, 2}, {2, 1, 3}});
  append(*topic[1], {{9, 1, 4}});
  const Job job = copy_of(topic_source(log, topic, 2));
  ExecutorOptions options;
  options.round_batches = 2;
  Executor executor(job.graph, options);
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  EXPECT_FALSE(executor.snapshot().has_value());  // the collect holds rows
  Results results;
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  ASSERT_EQ(snapshot.operators.size(), 2u);
  EXPECT_EQ(snapshot.operators[0].name, "events");
  const state::StateReader reader({snapshot.operators[0].state});
  reader.check_operator("topic source", "event time 'ts' timestamp[ms], delay 2");
  struct Row {
    std::string topic;
    int64_t partition, position;
    std::optional<int64_t> end, max_event_time;
    auto operator<=>(const Row&) const = default;
  };
  std::vector<Row> rows;
  state::PlainTableReader table(reader, "partitions");
  table.column("topic", rows, &Row::topic);
  table.column("partition", rows, &Row::partition);
  table.column("position", rows, &Row::position);
  table.column("end", rows, &Row::end);
  table.column("max_event_time", rows, &Row::max_event_time);
  EXPECT_EQ(rows, (std::vector<Row>{{"events", 0, 2, 2, 2}, {"events", 1, 1, 2, 3}}));
}

TEST(JobSnapshot, ABoundedSourceEndsWhereItWouldHave) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}});
  append(*topic[0], {{2, 1, 2}});
  TopicSourceSpec spec = topic_source(log, topic, 0);
  const Job job = copy_of(spec);
  ExecutorOptions options;
  options.round_batches = 1;
  Executor executor(job.graph, options);
  Results results;
  EXPECT_EQ(executor.run(0), RunStatus::kBudget);
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  append(*topic[0], {{3, 1, 3}});
  Executor bounded(job.graph, {}, {snapshot});
  EXPECT_EQ(bounded.run(1'000'000), RunStatus::kFinished);
  take(bounded, job, &results);
  EXPECT_EQ(results[0], (Rows{{1, 1, 1}, {2, 1, 2}}));
  // What was read to an end can be followed from there on.
  spec.bounded = false;
  const Job tail = copy_of(spec);
  Executor tailing(tail.graph, {}, {snapshot});
  Results more;
  while (tailing.run(0) != RunStatus::kIdle) take(tailing, tail, &more);
  EXPECT_EQ(more[0], (Rows{{2, 1, 2}, {3, 1, 3}}));
}

TEST(JobSnapshot, APartitionThatWasAddedBeginsAtItsStartAndBehindTheWatermark) {
  TempLog log;
  Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}, {50, 1, 1}});
  const auto windows_of = [&](const Partitions& partitions) {
    TopicSourceSpec spec = topic_source(log, partitions, 0);
    spec.bounded = false;
    spec.start_offsets.assign(partitions.size(), 0);
    Job job;
    const Port window = job.graph.add_window("w", job.graph.add_topic_source("events", spec),
                                             count_and_sum(10, 10));
    job.collects = {job.graph.add_collect("out", window),
                    job.graph.add_collect("late", {window.node, kLateOutput})};
    return job;
  };
  const Job before = windows_of(topic);
  Executor executor(before.graph);
  Results results;
  while (executor.run(0) != RunStatus::kIdle) {
  }
  const JobSnapshot snapshot = snapshot_of(executor, before, &results);
  storage::PartitionOptions added = topic[0]->options();
  added.partition = 1;
  topic.push_back(log.log()->open_partition(added));
  append(*topic[1], {{48, 1, 1}, {51, 1, 1}});
  append(*topic[0], {{70, 1, 1}});
  TopicSourceSpec grown = topic_source(log, topic, 0);
  grown.schema = event_schema();
  TopicReader reader("events", grown, {"ts"});
  reader.read_state(state::StateReader({snapshot.operators[0].state}));
  EXPECT_EQ(reader.watermark(), 49);
  const Job after = windows_of(topic);
  Executor next(after.graph, {}, {snapshot});
  while (next.run(0) != RunStatus::kIdle) {
  }
  EXPECT_EQ(next.metrics()[0].watermark, 50);  // the least of 70 and 51, less one
  append(*topic[1], {{90, 1, 1}});
  while (next.run(0) != RunStatus::kIdle) {
  }
  take(next, after, &results);
  EXPECT_EQ(results[0], (Rows{{1, 0, 10, 1, 1}, {1, 50, 60, 2, 2}}));
  EXPECT_EQ(results[1], (Rows{{48, 1, 1}}));
}

TEST(JobSnapshotErrors, InputsThatAreNotTheSameAreNamed) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{1, 1, 1}});
  const TopicSourceSpec spec = topic_source(log, topic, 0);
  const Job job = copy_of(spec);
  Executor executor(job.graph);
  Results results;
  while (executor.run(0) != RunStatus::kFinished) {
  }
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  const auto restore = [&](const TopicSourceSpec& other) {
    const Job changed = copy_of(other);
    Executor next(changed.graph, {}, {snapshot});
  };

  TopicSourceSpec fewer = spec;
  fewer.partitions.resize(1);
  EXPECT_EQ(code_of([&] { restore(fewer); }, "partition events-1 up to offset 0"),
            ErrorCode::kCheckpoint);

  TopicSourceSpec again = spec;
  again.partitions.clear();
  for (int p = 0; p < 2; ++p) {
    storage::PartitionOptions options = topic[static_cast<size_t>(p)]->options();
    options.topic_id.bytes[15] = 0xAB;
    again.partitions.push_back(log.log()->open_partition(options));
  }
  EXPECT_EQ(code_of([&] { restore(again); }, "000000000000ab"), ErrorCode::kCheckpoint);

  TopicSourceSpec slower = spec;
  slower.watermark->delay = 7;
  EXPECT_EQ(code_of([&] { restore(slower); }, "delay 7"), ErrorCode::kCheckpoint);

  topic[0]->delete_records(1);
  restore(spec);  // nothing that comes next is gone
  append(*topic[0], {{2, 1, 1}, {3, 1, 1}});
  topic[0]->delete_records(2);
  EXPECT_EQ(code_of([&] { restore(spec); }, "offset 1"), ErrorCode::kOffsetOutOfRange);
}

TEST(JobSnapshotErrors, AnInputThatIsShorterThanItWasFails) {
  const auto job_of = [](std::vector<RecordBatch> batches) {
    Job job;
    job.collects.push_back(job.graph.add_collect(
        "out", job.graph.add_batch_source("events", batch_source(std::move(batches), 0))));
    return job;
  };
  const Job job = job_of(
      {batch_of({{1, 1, 1}, {2, 1, 1}}), batch_of({{3, 1, 1}, {4, 1, 1}}), batch_of({{5, 1, 1}})});
  ExecutorOptions options;
  options.round_batches = 2;
  Executor executor(job.graph, options);
  Results results;
  executor.run(0);
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  // However it is cut.
  const Job other =
      job_of({batch_of({{1, 1, 1}}), batch_of({{2, 1, 1}, {3, 1, 1}, {4, 1, 1}, {5, 1, 1}})});
  Executor next(other.graph, {}, {snapshot});
  EXPECT_EQ(next.run(1'000'000), RunStatus::kFinished);
  take(next, other, &results);
  EXPECT_EQ(results[0].size(), 5u);

  const Job shorter = job_of({batch_of({{1, 1, 1}, {2, 1, 1}, {3, 1, 1}})});
  Executor failing(shorter.graph, {}, {snapshot});
  EXPECT_EQ(code_of([&] { failing.run(1'000'000); },
                    "behind row 4 of its input, which now ends "
                    "after 3"),
            ErrorCode::kCheckpoint);
}

TEST(JobSnapshotErrors, AnotherJobIsRefusedWithTheNamesOfBoth) {
  const auto job_of = [](const char* name, int sources) {
    Job job;
    std::vector<Port> ports;
    for (int i = 0; i < sources; ++i) {
      ports.push_back(job.graph.add_batch_source("events" + std::to_string(i),
                                                 batch_source({batch_of({{1, 1, 1}})}, 0)));
    }
    if (sources > 1) ports = {job.graph.add_union("union", ports)};
    job.collects.push_back(job.graph.add_collect(name, ports[0]));
    return job;
  };
  const Job job = job_of("out", 2);
  ExecutorOptions options;
  options.turn_rows = 5;
  Executor executor(job.graph, options);
  Results results;
  executor.run(0);
  const JobSnapshot snapshot = snapshot_of(executor, job, &results);
  const auto restore = [&](const Job& into, const ExecutorOptions& with) {
    Executor next(into.graph, with, {snapshot});
  };
  EXPECT_EQ(code_of([&] { restore(job_of("others", 2), options); }, "union, others"),
            ErrorCode::kCheckpoint);
  EXPECT_EQ(code_of([&] { restore(job_of("out", 1), options); },
                    "events0, events1, union, out cannot be restored into a job of events0, out"),
            ErrorCode::kCheckpoint);
  options.turn_rows = 6;
  EXPECT_EQ(code_of([&] { restore(job, options); }, "turns of 6 rows"), ErrorCode::kCheckpoint);
}

TEST(JobSnapshotErrors, OfAJobThatFailedOrWasStoppedThereIsNone) {
  Graph graph;
  const Port source = graph.add_batch_source("events", batch_source({batch_of({{1, 1, 0}})}, 0));
  graph.add_collect(
      "out", graph.add_project(
                 "p", source,
                 {{{"x", call(expressions::Function::kDivide, {col("key"), col("value")})}}}));
  Executor failed(graph);
  EXPECT_THROW(failed.run(1'000'000), Error);
  EXPECT_EQ(code_of([&] { failed.snapshot(); }, "has failed"), ErrorCode::kClosed);
  Executor stopped(graph);
  stopped.request_stop();
  EXPECT_EQ(code_of([&] { stopped.snapshot(); }, "was stopped"), ErrorCode::kClosed);
}

// Of any damage, one: the rest is for the readers of tables.
TEST(JobSnapshotErrors, ADamagedTableIsNamed) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}});
  const Job job = copy_of(topic_source(log, topic, 0));
  Executor executor(job.graph);
  Results results;
  while (executor.run(0) != RunStatus::kFinished) {
  }
  JobSnapshot snapshot = snapshot_of(executor, job, &results);
  state::StateTable& table = snapshot.operators[0].state.tables.at(1);
  ASSERT_EQ(table.name, "partitions");
  RecordBatch& rows = table.batches.at(0);
  Schema renamed = *rows.schema;
  renamed.fields[3].name = "place";
  rows.schema = std::make_shared<Schema>(renamed);
  EXPECT_EQ(code_of([&] { Executor next(job.graph, {}, {snapshot}); },
                    "there has to be 'position' int64 without nulls"),
            ErrorCode::kCheckpoint);
}

}  // namespace
}  // namespace pystream::runtime
