// What jobs go on from, and which snapshots they refuse.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "restart_support.hpp"
#include "runtime/source_state.hpp"
#include "runtime/topic_reader.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;

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
  const TopicSourceState source = read_source_state(reader);
  ASSERT_EQ(source.partitions.size(), 2u);
  const auto check = [&](size_t at, int64_t partition, int64_t position, int64_t latest) {
    const PartitionState& row = source.partitions[at];
    EXPECT_EQ(row.topic, "events");
    EXPECT_EQ(row.partition, partition);
    EXPECT_EQ(row.position, position);
    EXPECT_EQ(row.end, 2);
    EXPECT_EQ(row.max_event_time, latest);
  };
  check(0, 0, 2, 2);
  check(1, 1, 1, 3);
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
  EXPECT_EQ(results[0], (ResultRows{{1, 1, 1}, {2, 1, 2}}));
  // What was read to an end can be followed from there on.
  spec.bounded = false;
  const Job tail = copy_of(spec);
  Executor tailing(tail.graph, {}, {snapshot});
  Results more;
  while (tailing.run(0) != RunStatus::kIdle) take(tailing, tail, &more);
  EXPECT_EQ(more[0], (ResultRows{{2, 1, 2}, {3, 1, 3}}));
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
  EXPECT_EQ(results[0], (ResultRows{{1, 0, 10, 1, 1}, {1, 50, 60, 2, 2}}));
  EXPECT_EQ(results[1], (ResultRows{{48, 1, 1}}));
}

TEST(JobSnapshot, IdlenessMayBeAddedAndTakenAway) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{50, 1, 1}});
  append(*topic[1], {{70, 1, 1}});
  const auto reader_of = [&](std::optional<IdlenessSpec> idleness) {
    TopicSourceSpec spec = topic_source(log, topic, 0);
    spec.schema = event_schema();
    spec.watermark->idleness = idleness;
    return std::make_unique<TopicReader>("events", spec, std::vector<std::string>{"ts"});
  };
  const auto state_of = [](const TopicReader& reader) {
    state::StateWriter writer;
    writer.set_operator("topic source", reader.state_layout());
    reader.write_state(&writer);
    return state::StateReader({writer.finish()});
  };
  const auto without = reader_of(std::nullopt);
  std::vector<SourceBatch> round;
  without->next_round({100, 1 << 20, 100}, &round);
  EXPECT_EQ(without->watermark(), 49);
  const auto with = reader_of(IdlenessSpec{5, false});
  with->read_state(state_of(*without));
  EXPECT_EQ(with->watermark(), 49);
  for (const PartitionState& row : read_source_state(state_of(*with)).partitions) {
    EXPECT_TRUE(row.had_batch);
  }
  const auto again = reader_of(std::nullopt);
  again->read_state(state_of(*with));
  EXPECT_EQ(again->watermark(), 49);
}

TEST(JobSnapshotErrors, InputsThatAreNotTheSameAreNamed) {
  TempLog log;
  const Partitions topic = log.topic("events", 2);
  append(*topic[0], {{1, 1, 1}});
  TopicSourceSpec spec = topic_source(log, topic, 0);
  spec.start_offsets = {0, 0};
  const JobSnapshot snapshot = snapshot_at_end(copy_of(spec));
  const auto restore = [&](const TopicSourceSpec& other) {
    const Job changed = copy_of(other);
    Executor next(changed.graph, {}, {snapshot});
  };

  TopicSourceSpec fewer = spec;
  fewer.partitions.resize(1);
  fewer.start_offsets.resize(1);
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
  restore(spec);  // nothing that comes next is gone; the start offset is
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

struct Damage {
  const char* in;  // an operator; "": the job
  const char* table;
  const char* column;
  int64_t value;
  const char* message;
};

class DamagedSnapshot : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedSnapshot, IsRefused) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}});
  Job job;
  const Port union_of = job.graph.add_union(
      "all", {job.graph.add_topic_source("events", topic_source(log, topic, 0)),
              job.graph.add_batch_source("table", batch_source({batch_of({{1, 1, 1}})}, 0))});
  job.collects = {job.graph.add_collect("out", union_of)};
  JobSnapshot snapshot = snapshot_at_end(job);
  const Damage& damage = GetParam();
  state::Snapshot* state = &snapshot.job;
  for (auto& entry : snapshot.operators) {
    if (entry.name == damage.in) state = &entry.state;
  }
  const auto table = std::find_if(state->tables.begin(), state->tables.end(),
                                  [&](const auto& each) { return each.name == damage.table; });
  ASSERT_NE(table, state->tables.end());
  RecordBatch& rows = table->batches.at(0);
  if (damage.column == nullptr) {
    table->batches.clear();
  } else {
    const int at = rows.schema->index_of(damage.column);
    ASSERT_GE(at, 0);
    Array& column = rows.columns[static_cast<size_t>(at)];
    column = make_constant_int64(column.type, damage.value, rows.num_rows);
  }
  EXPECT_EQ(code_of([&] { Executor next(job.graph, {}, {snapshot}); }, damage.message),
            ErrorCode::kCheckpoint);
}

INSTANTIATE_TEST_SUITE_P(
    JobSnapshotErrors, DamagedSnapshot,
    ::testing::Values(Damage{"table", "operator", "rows_read", -1, "has read -1 rows"},
                      Damage{"events", "partitions", nullptr, 0, "names no partition"},
                      Damage{"", "groups", "turn", 2, "the turn of source 2 of 2"},
                      Damage{"", "groups", nullptr, 0, "'groups' of a job's snapshot has 0 rows"},
                      Damage{"", "scopes", nullptr, 0, "'scopes' of a job's snapshot has 0 rows"}));

TEST(JobSnapshotErrors, AColumnThatIsMissingIsNamed) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 1}});
  const Job job = copy_of(topic_source(log, topic, 0));
  JobSnapshot snapshot = snapshot_at_end(job);
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
