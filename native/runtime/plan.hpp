#pragma once
// From a graph to connected operators: which columns each edge carries, which windows decide
// whether rows need their own watermarks, how many threads may push through each operator.

#include <memory>
#include <string>
#include <vector>

#include "runtime/executor.hpp"
#include "runtime/graph.hpp"
#include "runtime/python_stage.hpp"
#include "runtime/source.hpp"
#include "runtime/topic_reader.hpp"
#include "runtime/watermark_path.hpp"

namespace pystream::runtime {

struct PlannedSource {
  int node = 0;
  SourceOperator* root = nullptr;
  std::unique_ptr<SourceReader> reader;
  const TopicReader* topic = nullptr;  // `reader`, or its part, that reads a topic
  std::vector<std::string> columns;    // that are read
  int threads = 1;
  // Where operators below windows read watermarks: the one of the round at work, whose batches
  // stay until Python stages have passed on what it brought.
  std::unique_ptr<WatermarkPath> path;
  std::vector<SourceBatch> round;
};

template <typename T>
struct PlannedNode {
  int node = 0;
  T* op = nullptr;
  size_t source = 0;  // above it, in Plan::sources
};

struct Plan {
  std::vector<std::unique_ptr<Operator>> operators;  // one per node of the graph
  std::vector<PlannedSource> sources;
  std::vector<PlannedNode<StageOperator>> stages;  // inputs before outputs
  std::vector<PlannedNode<CollectOperator>> collects;
};

// Throws kConfig when an operator's output goes nowhere, and what the operators themselves throw.
Plan make_plan(const Graph& graph, const ExecutorOptions& options);

}  // namespace pystream::runtime
