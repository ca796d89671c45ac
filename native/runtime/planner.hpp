#pragma once
// Makes the operators of a graph, and connects them: the work behind make_plan().
//
// plan.cpp has the order of things, sources and their groups; plan_operators.cpp what becomes of
// each node, plan_windows.cpp of those that are windows.
//
// Lives for one call; one thread.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/columns_needed.hpp"
#include "runtime/plan.hpp"
#include "runtime/source_sets.hpp"
#include "runtime/window_input.hpp"

namespace pystream::runtime {

// What is known of the rows on an output.
struct Edge {
  SchemaPtr schema;                   // the columns it really carries
  int threads = 1;                    // that may push through it at once
  bool is_parallel = false;           // before any window result or Python stage
  std::vector<int> sources;           // indexes of those above
  std::set<std::string> event_times;  // columns that hold the sources' event time unchanged
  bool is_whole = false;              // every row of the sources comes
};

class Planner {
 public:
  Planner(const Graph& graph, const ExecutorOptions& options, bool goes_on)
      : graph_(graph),
        options_(options),
        goes_on_(goes_on),
        needed_(columns_needed(graph)),
        sets_(source_sets(graph)),
        edges_(graph.nodes().size()) {}

  Plan plan();

 private:
  const Node& node() const { return graph_.nodes()[static_cast<size_t>(node_)]; }
  const Edge& input() const {
    const Port port = node().inputs[0];
    return edges_[static_cast<size_t>(port.node)][static_cast<size_t>(port.output)];
  }
  Edge& output(int index) { return edges_[static_cast<size_t>(node_)][static_cast<size_t>(index)]; }
  const std::set<std::string>& needed(int index) const {
    return needed_[static_cast<size_t>(node_)][static_cast<size_t>(index)];
  }
  const std::vector<int>& sources_above() const {
    return sets_.of_node[static_cast<size_t>(node_)];
  }
  PlannedGroup& group() {
    return plan_.groups[sets_.group_of[static_cast<size_t>(sources_above()[0])]];
  }
  const PlannedGroup& group() const {
    return plan_.groups[sets_.group_of[static_cast<size_t>(sources_above()[0])]];
  }
  const std::optional<DataType>& watermark_type(int node) const {
    return graph_.nodes()[static_cast<size_t>(node)].watermark_type;
  }

  void set_place(Operator* op) const;
  void plan_groups();
  int scope();
  void plan_paths();
  void make_readers();
  void need_row_watermarks(const Edge& edge);
  void need_event_times(const Edge& edge, const std::string& column);
  void plan_skip(int source, SourceOperator::Plan* plan) const;

  std::vector<int> kept_columns(const Schema& schema, int index) const;
  static SchemaPtr select(const Schema& schema, const std::vector<int>& columns);
  int to_input(int declared) const;

  template <typename Reader, typename Spec>
  std::unique_ptr<Operator> make_source(const Spec& spec, const char* kind);
  std::unique_ptr<Operator> make(const TopicSourceSpec& spec);
  std::unique_ptr<Operator> make(const BatchSourceSpec& spec);
  std::unique_ptr<Operator> make(const FilterSpec& spec);
  std::unique_ptr<Operator> make(const ProjectSpec& spec);
  std::unique_ptr<Operator> make(const PythonStageSpec& spec);
  std::unique_ptr<Operator> make(const ProcessingTimeSpec& spec);
  std::unique_ptr<Operator> make(const UnionSpec&);
  std::unique_ptr<Operator> make(const TopicSinkSpec& spec);
  std::unique_ptr<Operator> make(const CollectSpec&);

  template <typename Aggregation>
  WindowInput::Plan plan_window(Aggregation* aggregation, int64_t event_time_offset);
  std::unique_ptr<Operator> make(const WindowSpec& spec);
  std::unique_ptr<Operator> make(const SessionWindowSpec& spec);
  std::unique_ptr<Operator> make(const CountWindowSpec& spec);
  std::unique_ptr<Operator> make(const PaneWindowSpec& spec);

  const Graph& graph_;
  const ExecutorOptions& options_;
  bool goes_on_;
  const ColumnsNeeded needed_;
  const SourceSets sets_;
  int node_ = 0;  // being planned
  std::vector<std::vector<Edge>> edges_;
  std::vector<SourceOperator::Plan> source_plans_;
  std::vector<std::vector<std::vector<int>>> scopes_;  // per group: sets of sources
  Plan plan_;
};

}  // namespace pystream::runtime
