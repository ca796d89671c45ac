// Whole jobs over batches in memory: how rows of several sources come together, and what moves
// their watermark.

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "events.hpp"
#include "expressions/expression.hpp"
#include "kernel.hpp"
#include "runtime/batch_inputs.hpp"
#include "runtime/executor.hpp"
#include "runtime/graph.hpp"
#include "runtime/watermark.hpp"
#include "window_specs.hpp"

namespace pystream::gate {
namespace {

using expressions::Expression;
using expressions::ExpressionPtr;

constexpr int64_t kNoTimeLimitUs = int64_t{1} << 50;

void finish(runtime::Executor* executor) {
  if (executor->run(kNoTimeLimitUs) != runtime::RunStatus::kFinished) std::abort();
}

runtime::Port add_source(runtime::Graph* graph, const std::string& name,
                         const std::vector<RecordBatch>& rounds, runtime::WatermarkSpec watermark) {
  return graph->add_batch_source(
      name, {rounds[0].schema, runtime::read_batches(rounds), std::move(watermark)});
}

void add_window(runtime::Graph* graph, runtime::Port input, int event_time_column = 0) {
  windows::WindowAggregationSpec spec = windowed({50, 50, 0});
  spec.event_time_column = event_time_column;
  graph->add_collect("results", graph->add_window("window", input, {std::move(spec)}));
}

// Two sources in turns, which go over the same stretch of time.
Work union_of_two() {
  return [rounds = rounds_of(events(1000, false), 4)] {
    runtime::Graph graph;
    const runtime::Port left = add_source(&graph, "left", rounds, {"ts", 5});
    const runtime::Port right = add_source(&graph, "right", rounds, {"ts", 5});
    add_window(&graph, graph.add_union("union", {left, right}));
    runtime::Executor executor(graph);
    finish(&executor);
  };
}

// Every row gives the watermark, by an expression.
Work punctuated() {
  auto time = std::make_shared<Expression>();
  time->kind = Expression::Kind::kColumn;
  time->column = "ts";
  return [rounds = rounds_of(events(1000, false), 4), time = ExpressionPtr(time)] {
    runtime::Graph graph;
    add_window(&graph, add_source(&graph, "events", rounds, {"ts", 0, time}));
    runtime::Executor executor(graph);
    finish(&executor);
  };
}

// Batches of a hundred partitions, of which one after the other falls silent for a while.
Work idle_partitions() {
  return [] {
    constexpr int kPartitions = 100;
    runtime::WatermarkTracker tracker(kPartitions, 5);
    tracker.set_idleness({1000, true}, DataType::timestamp(TimeUnit::kMilli));
    for (int64_t batch = 0; batch < 10'000; ++batch) {
      const int64_t at = batch + batch / 100 * 2000;  // all are silent after each hundred
      const auto partition = static_cast<int>(batch * 7 % kPartitions);
      tracker.observe(partition, kFirstMs + batch, kFirstMs + batch + 3, at);
      tracker.take_steps();
    }
    if (tracker.current() == windows::kMinWatermark) std::abort();
  };
}

// The clock goes on by half a window with each batch.
Work processing_time() {
  return [rounds = rounds_of(events(1000, false), 8)] {
    const auto clock = std::make_shared<ManualClock>(0);
    runtime::Graph graph;
    const auto next = runtime::read_batches(rounds);
    const auto read = [next, clock](RecordBatch* batch) {
      *clock += 25'000;
      return next(batch);
    };
    const runtime::Port source =
        graph.add_batch_source("events", {rounds[0].schema, read, std::nullopt});
    const int time = rounds[0].schema->size();
    add_window(&graph, graph.add_processing_time("clock", source, {"now"}), time);
    runtime::ExecutorOptions options;
    options.clock = clock;
    runtime::Executor executor(graph, options);
    finish(&executor);
  };
}

}  // namespace

std::vector<Kernel> job_kernels() {
  return {
      {"job_union", union_of_two},
      {"job_punctuated", punctuated},
      {"job_idle_partitions", idle_partitions},
      {"job_processing_time", processing_time},
  };
}

}  // namespace pystream::gate
