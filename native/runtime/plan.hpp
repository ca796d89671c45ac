#pragma once
// From a graph to connected operators: which columns each edge carries, which windows decide
// whether rows need their own watermarks, how many threads may push through each operator.

#include <memory>
#include <string>
#include <vector>

#include "runtime/executor.hpp"
#include "runtime/graph.hpp"
#include "runtime/processing_time_operator.hpp"
#include "runtime/python_stage.hpp"
#include "runtime/source.hpp"
#include "runtime/source_group.hpp"
#include "runtime/timeline.hpp"
#include "runtime/topic_reader.hpp"
#include "runtime/union_operator.hpp"
#include "runtime/watermark_path.hpp"

namespace pystream::runtime {

struct PlannedSource {
  int node = 0;
  SourceOperator* root = nullptr;
  std::unique_ptr<SourceReader> reader;
  const TopicReader* topic = nullptr;  // `reader`, or its part, that reads a topic
  std::vector<std::string> columns;    // that are read
  // Where operators below windows read watermarks: the one of the round at work, whose batches
  // stay until Python stages and unions have passed on what it brought.
  std::unique_ptr<WatermarkPath> path;
};

// Sources that are read in one order; most are alone.
struct PlannedGroup {
  std::vector<size_t> sources;  // ascending
  std::vector<int>
      first_lanes;  // of each: its partitions are spread over the threads from there on
  int threads = 1;
  std::unique_ptr<SourceGroup> reader;
  std::unique_ptr<Timeline> timeline;  // where a union below merges, or windows stand below one
  std::vector<UnionOperator*> unions;  // inputs before outputs
  std::vector<ProcessingTimeOperator*> clocks;  // inputs before outputs
};

template <typename T>
struct PlannedNode {
  int node = 0;
  T* op = nullptr;
};

struct Plan {
  std::vector<std::unique_ptr<Operator>> operators;  // one per node of the graph
  std::vector<PlannedSource> sources;
  std::vector<PlannedGroup> groups;
  std::vector<PlannedNode<StageOperator>> stages;  // inputs before outputs
  std::vector<PlannedNode<CollectOperator>> collects;
};

// `goes_on`: sources are to be restored, and do not look at their start offsets, which may be gone.
// Throws kConfig when an operator's output goes nowhere, and what the operators themselves throw.
Plan make_plan(const Graph& graph, const ExecutorOptions& options, bool goes_on = false);

}  // namespace pystream::runtime
