#include "runtime/plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "runtime/batch_reader.hpp"
#include "runtime/columns_needed.hpp"
#include "runtime/count_window_operator.hpp"
#include "runtime/hybrid_reader.hpp"
#include "runtime/session_operator.hpp"
#include "runtime/stateless_operators.hpp"
#include "runtime/topic_sink.hpp"
#include "runtime/trigger_stage.hpp"
#include "runtime/triggered_operator.hpp"
#include "runtime/window_operator.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::runtime {

namespace {

// What is known of the rows on an output.
struct Edge {
  SchemaPtr schema;                   // the columns it really carries
  int threads = 1;                    // that may push through it at once
  bool is_parallel = false;           // before any window result or Python stage
  size_t source = 0;                  // index of the source above
  std::set<std::string> event_times;  // columns that hold the source's event time unchanged
};

class Planner {
 public:
  Planner(const Graph& graph, const ExecutorOptions& options)
      : graph_(graph),
        options_(options),
        needed_(columns_needed(graph)),
        edges_(graph.nodes().size()) {}

  Plan plan() {
    check_consumers();
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      node_ = static_cast<int>(i);
      edges_[i].resize(node().outputs.size());
      plan_.operators.push_back(
          std::visit([this](const auto& spec) { return make(spec); }, node().spec));
      set_place(plan_.operators.back().get());
      if (node().input) {
        const Port input = *node().input;
        plan_.operators[static_cast<size_t>(input.node)]->connect(input.output,
                                                                  plan_.operators.back().get());
      }
    }
    for (auto op = plan_.operators.rbegin(); op != plan_.operators.rend(); ++op) {
      (*op)->find_readers();
    }
    plan_paths();
    for (size_t i = 0; i < plan_.sources.size(); ++i) {
      plan_skip(plan_.sources[i].node, &source_plans_[i]);
      plan_.sources[i].root->set_plan(source_plans_[i]);
    }
    return std::move(plan_);
  }

 private:
  const Node& node() const { return graph_.nodes()[static_cast<size_t>(node_)]; }
  const Edge& input() const {
    const Port port = *node().input;
    return edges_[static_cast<size_t>(port.node)][static_cast<size_t>(port.output)];
  }
  Edge& output(int index) { return edges_[static_cast<size_t>(node_)][static_cast<size_t>(index)]; }
  const std::set<std::string>& needed(int index) const {
    return needed_[static_cast<size_t>(node_)][static_cast<size_t>(index)];
  }

  void set_place(Operator* op) const {
    if (!node().input) {
      op->set_place(plan_.sources.back().threads, node().watermark_type);
      return;
    }
    const bool is_ordered = dynamic_cast<OrderedOperator*>(op) != nullptr;
    op->set_place(is_ordered ? 1 : input().threads,
                  graph_.nodes()[static_cast<size_t>(node().input->node)].watermark_type);
  }

  void check_consumers() const {
    std::vector<bool> is_consumed(graph_.nodes().size(), false);
    for (const Node& node : graph_.nodes()) {
      if (node.input) is_consumed[static_cast<size_t>(node.input->node)] = true;
    }
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (node.outputs.empty() || is_consumed[i]) continue;
      throw Error(ErrorCode::kConfig,
                  "the output of operator '" + node.name +
                      "' goes nowhere. Add a sink or collect behind it.",
                  {{"operator", node.name}});
    }
    if (graph_.nodes().empty()) {
      throw Error(ErrorCode::kConfig, "the graph is empty. Add a source and a sink.");
    }
  }

  // Sources above windows whose results meet operators that read watermarks.
  void plan_paths() {
    for (size_t i = 0; i < plan_.operators.size(); ++i) {
      const Operator& op = *plan_.operators[i];
      if (!op.reads_watermarks() || !op.has_readers()) continue;
      const size_t index = edges_[i][0].source;
      PlannedSource& source = plan_.sources[index];
      if (source.path) continue;
      source.path =
          std::make_unique<WatermarkPath>(source.reader.get(), source_plans_[index].delay);
    }
  }

  // When a filter is all that reads a source, it may leave batches unread.
  void plan_skip(int source, SourceOperator::Plan* plan) const {
    int consumer = -1;
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      if (graph_.nodes()[i].input != Port{source, 0}) continue;
      if (consumer >= 0) return;
      consumer = static_cast<int>(i);
    }
    const auto* filter =
        std::get_if<FilterSpec>(&graph_.nodes()[static_cast<size_t>(consumer)].spec);
    if (filter == nullptr) return;
    plan->skip = BatchSkip::of(*filter->condition, edges_[static_cast<size_t>(source)][0].schema);
    plan->filter = plan_.operators[static_cast<size_t>(consumer)].get();
  }

  // Columns of `schema` that output `index` of the current node must carry, in order.
  std::vector<int> kept_columns(const Schema& schema, int index) const {
    std::vector<int> kept;
    for (int i = 0; i < schema.size(); ++i) {
      if (needed(index).contains(schema.fields[static_cast<size_t>(i)].name)) kept.push_back(i);
    }
    return kept;
  }

  static SchemaPtr select(const Schema& schema, const std::vector<int>& columns) {
    auto selected = std::make_shared<Schema>();
    for (const int i : columns) selected->fields.push_back(schema.fields[static_cast<size_t>(i)]);
    return selected;
  }

  // The index in the edge of what the spec names by its index in the declared schema.
  int to_input(int declared) const {
    const std::string& name =
        graph_.schema(*node().input)->fields[static_cast<size_t>(declared)].name;
    return input().schema->index_of(name);
  }

  template <typename Reader, typename Spec>
  std::unique_ptr<Operator> make_source(const Spec& spec, const char* kind) {
    PlannedSource source;
    source.node = node_;
    const Schema& declared = *node().outputs[0];
    const std::vector<int> columns = kept_columns(declared, 0);
    for (const int i : columns) {
      source.columns.push_back(declared.fields[static_cast<size_t>(i)].name);
    }
    auto reader = std::make_unique<Reader>(node().name, spec, source.columns);
    if constexpr (std::is_same_v<Reader, TopicReader>) source.topic = reader.get();
    if constexpr (std::is_same_v<Reader, HybridReader>) source.topic = &reader->topic();
    source.threads = std::min(options_.threads, reader->partition_count());
    auto root = std::make_unique<SourceOperator>(node().name, kind, reader.get());
    source.root = root.get();
    source.reader = std::move(reader);
    SourceOperator::Plan plan;
    plan.chunk_rows = options_.chunk_rows;
    Edge& edge = output(0);
    edge = {select(declared, columns), source.threads, true, plan_.sources.size(), {}};
    if (spec.watermark) {
      plan.has_watermark = true;
      plan.delay = delay_of(*spec.watermark);
      edge.event_times.insert(spec.watermark->event_time_column);
    }
    source_plans_.push_back(std::move(plan));
    plan_.sources.push_back(std::move(source));
    return root;
  }

  std::unique_ptr<Operator> make(const TopicSourceSpec& spec) {
    if (spec.history) return make_source<HybridReader>(spec, "hybrid source");
    return make_source<TopicReader>(spec, "topic source");
  }

  std::unique_ptr<Operator> make(const BatchSourceSpec& spec) {
    return make_source<BatchReader>(spec, "batch source");
  }

  std::unique_ptr<Operator> make(const FilterSpec& spec) {
    const SchemaPtr& in = input().schema;
    const std::vector<int> kept = kept_columns(*in, 0);
    output(0) = input();
    output(0).schema = select(*in, kept);
    return std::make_unique<FilterOperator>(node().name, expressions::bind(*spec.condition, *in),
                                            kept, output(0).schema);
  }

  std::unique_ptr<Operator> make(const ProjectSpec& spec) {
    const Edge& in = input();
    std::vector<expressions::BoundExpressionPtr> bound;
    auto schema = std::make_shared<Schema>();
    std::set<std::string> event_times;
    for (size_t i = 0; i < spec.outputs.size(); ++i) {
      const NamedExpression& output = spec.outputs[i];
      if (!needed(0).contains(output.name)) continue;
      bound.push_back(expressions::bind(*output.expression, *in.schema));
      schema->fields.push_back(node().outputs[0]->fields[i]);
      const bool is_column = output.expression->kind == expressions::Expression::Kind::kColumn;
      if (is_column && in.event_times.contains(output.expression->column)) {
        event_times.insert(output.name);
      }
    }
    output(0) = in;
    output(0).schema = schema;
    output(0).event_times = std::move(event_times);
    return std::make_unique<ProjectOperator>(node().name, std::move(bound), std::move(schema));
  }

  // A window's columns by their index in the edge, and what it does around its aggregation.
  template <typename Aggregation>
  WindowInput::Plan plan_window(Aggregation* aggregation, int64_t event_time_offset) {
    const Edge& in = input();
    for (int& key : aggregation->key_columns) key = to_input(key);
    int& time = aggregation->event_time_column;
    if (time >= 0) time = to_input(time);
    for (auto& aggregate : aggregation->aggregates) {
      if (aggregate.input >= 0) aggregate.input = to_input(aggregate.input);
      if (aggregate.by >= 0) aggregate.by = to_input(aggregate.by);
      for (int& other : aggregate.others) other = to_input(other);
    }
    WindowInput::Plan plan;
    plan.schema = in.schema;
    plan.event_time_column = time;
    plan.event_time_offset = event_time_offset;
    plan.late_columns = kept_columns(*in.schema, kLateOutput);
    plan.late_schema = select(*in.schema, plan.late_columns);
    output(0).schema = node().outputs[0];
    output(0).source = in.source;
    output(kLateOutput).schema = plan.late_schema;
    output(kLateOutput).source = in.source;
    return plan;
  }

  std::unique_ptr<Operator> make(const WindowSpec& spec) {
    const Edge& in = input();
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    if (!aggregation.trigger.is_plain()) {
      // What the watermark fires comes before the very row that saw it.
      if (in.is_parallel) source_plans_[in.source].needs_row_watermarks = true;
      return std::make_unique<TriggeredOperator<windows::TriggeredAggregation>>(
          node().name, "window", std::move(plan), aggregation);
    }
    output(kLateOutput) = in;  // late rows leave where they come in
    output(kLateOutput).schema = plan.late_schema;
    const std::string& time =
        in.schema->fields[static_cast<size_t>(aggregation.event_time_column)].name;
    const bool is_source_time = in.event_times.contains(time) && spec.event_time_offset == 0;
    auto window = std::make_unique<WindowOperator>(node().name, std::move(plan),
                                                   std::move(aggregation), in.threads);
    if (in.is_parallel) {
      SourceOperator::Plan& source = source_plans_[in.source];
      if (is_source_time) {
        source.windows.push_back(window.get());
      } else {
        source.needs_row_watermarks = true;
      }
    }
    return window;
  }

  std::unique_ptr<Operator> make(const SessionWindowSpec& spec) {
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    int& gap = aggregation.session.gap_column;
    if (gap >= 0) gap = to_input(gap);
    // Whether a record meets a session before or after it fired depends on the very watermark.
    if (input().is_parallel) source_plans_[input().source].needs_row_watermarks = true;
    return std::make_unique<SessionOperator>(node().name, std::move(plan), std::move(aggregation));
  }

  std::unique_ptr<Operator> make(const CountWindowSpec& spec) {
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    // What comes out carries the watermark of the record that completed it.
    if (input().is_parallel) source_plans_[input().source].needs_row_watermarks = true;
    return std::make_unique<CountWindowOperator>(node().name, std::move(plan),
                                                 std::move(aggregation));
  }

  std::unique_ptr<Operator> make(const PaneWindowSpec& spec) {
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    const char* kind = "global window";
    if (std::holds_alternative<windows::CountedSpec>(aggregation.windows)) kind = "count window";
    if (auto* session = std::get_if<windows::SessionSpec>(&aggregation.windows)) {
      kind = "session window";
      if (session->gap_column >= 0) session->gap_column = to_input(session->gap_column);
    }
    // What the watermark fires comes before the very row that saw it.
    if (input().is_parallel) source_plans_[input().source].needs_row_watermarks = true;
    if (aggregation.has_own_trigger) {
      if (std::holds_alternative<windows::WindowSpec>(aggregation.windows)) kind = "window";
      auto stage =
          std::make_unique<TriggerStageOperator>(node().name, kind, std::move(plan), aggregation);
      plan_.stages.push_back({node_, stage.get(), input().source});
      return stage;
    }
    return std::make_unique<TriggeredOperator<windows::PaneAggregation>>(
        node().name, kind, std::move(plan), aggregation);
  }

  std::unique_ptr<Operator> make(const PythonStageSpec& spec) {
    output(0).schema = spec.output_schema;
    output(0).source = input().source;
    if (spec.keeps_rows && input().is_parallel) {
      source_plans_[input().source].needs_row_watermarks = true;  // windows below may ask for them
    }
    auto stage =
        std::make_unique<PythonStageOperator>(node().name, spec.output_schema, spec.keeps_rows);
    plan_.stages.push_back({node_, stage.get(), input().source});
    return stage;
  }

  std::unique_ptr<Operator> make(const TopicSinkSpec& spec) {
    return std::make_unique<TopicSinkOperator>(node().name, spec);
  }

  std::unique_ptr<Operator> make(const CollectSpec&) {
    auto collect = std::make_unique<CollectOperator>(node().name);
    plan_.collects.push_back({node_, collect.get(), input().source});
    return collect;
  }

  const Graph& graph_;
  const ExecutorOptions& options_;
  const ColumnsNeeded needed_;
  int node_ = 0;  // being planned
  std::vector<std::vector<Edge>> edges_;
  std::vector<SourceOperator::Plan> source_plans_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Graph& graph, const ExecutorOptions& options) {
  return Planner(graph, options).plan();
}

}  // namespace pystream::runtime
