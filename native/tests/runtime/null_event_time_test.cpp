// Records without event time in a topic: an error only where something needs the time.

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "runtime/executor.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;
using expressions::Function;
using Rows = std::vector<std::vector<int64_t>>;

// Of one partition, by offset: 1, 1, null, 100, 2.
class NullEventTime : public ::testing::Test {
 protected:
  NullEventTime() {
    append(*topic[0], {{1, 1, 1}});
    RecordBatch batch = batch_of({{1, 1, 1}, {2, 2, 2}, {100, 1, 1}, {2, 1, 1}});
    FixedBuilder<int64_t> ts(event_schema()->fields[0].type);
    ts.append(1);
    ts.append_null();
    ts.append(100);
    ts.append(2);
    batch.columns[0] = ts.finish();
    append(*topic[0], batch);
    source = graph.add_topic_source("events", topic_source(log, topic, 0));
  }

  TempLog log;
  const Partitions topic = log.topic("orders", 1);
  Graph graph;
  Port source;
};

TEST_F(NullEventTime, MovesNoWatermarkAndAFilterTakesItOut) {
  const int all = graph.add_collect("all", source);
  const Port filtered =
      graph.add_filter("timed", source, {call(Function::kIsNotNull, {col("ts")})});
  const Port window = graph.add_window("totals", filtered, count_and_sum(10, 10));
  const int out = graph.add_collect("out", window);
  const int late = graph.add_collect("late", {window.node, kLateOutput});
  Executor executor(graph);
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  int64_t rows = 0;
  for (const RecordBatch& batch : executor.take_collected(all)) rows += batch.num_rows;
  EXPECT_EQ(rows, 5);
  EXPECT_EQ(rows_of(executor.take_collected(out)), (Rows{{1, 0, 10, 2, 2}, {1, 100, 110, 1, 1}}));
  EXPECT_EQ(events_of(executor.take_collected(late)), (std::vector<Event>{{2, 1, 1}}));
}

TEST_F(NullEventTime, NamesItsOffsetWhereAWindowNeedsIt) {
  graph.add_collect("out", graph.add_window("totals", source, count_and_sum(10, 10)));
  Executor executor(graph);
  try {
    executor.run(1'000'000);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    const auto facts = std::map(error.facts().begin(), error.facts().end());
    EXPECT_EQ(std::get<int64_t>(facts.at("offset")), 2);
    EXPECT_EQ(std::get<std::string>(facts.at("operator")), "events");
  }
}

}  // namespace
}  // namespace pystream::runtime
