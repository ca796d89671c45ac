#include "runtime/plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "runtime/batch_reader.hpp"
#include "runtime/columns_needed.hpp"
#include "runtime/count_window_operator.hpp"
#include "runtime/graph_checks.hpp"
#include "runtime/hybrid_reader.hpp"
#include "runtime/session_operator.hpp"
#include "runtime/source_sets.hpp"
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
  std::vector<int> sources;           // indexes of those above
  std::set<std::string> event_times;  // columns that hold the sources' event time unchanged
};

class Planner {
 public:
  Planner(const Graph& graph, const ExecutorOptions& options)
      : graph_(graph),
        options_(options),
        needed_(columns_needed(graph)),
        sets_(source_sets(graph)),
        edges_(graph.nodes().size()) {}

  Plan plan() {
    check_consumers(graph_);
    plan_groups();
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      node_ = static_cast<int>(i);
      edges_[i].resize(node().outputs.size());
      plan_.operators.push_back(
          std::visit([this](const auto& spec) { return make(spec); }, node().spec));
      Operator* op = plan_.operators.back().get();
      set_place(op);
      if (drops_at_end(graph_, node())) op->drop_at_end();
      if (sets_.is_above_merge[i]) op->set_timeline(group().timeline.get(), scope());
      for (size_t k = 0; k < node().inputs.size(); ++k) {
        const Port from = node().inputs[k];
        plan_.operators[static_cast<size_t>(from.node)]->connect(from.output,
                                                                 op->entry(static_cast<int>(k)));
      }
    }
    for (auto op = plan_.operators.rbegin(); op != plan_.operators.rend(); ++op) {
      (*op)->find_readers();
    }
    plan_paths();
    make_readers();
    for (size_t i = 0; i < plan_.sources.size(); ++i) {
      plan_skip(plan_.sources[i].node, &source_plans_[i]);
      plan_.sources[i].root->set_plan(source_plans_[i]);
    }
    return std::move(plan_);
  }

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

  void set_place(Operator* op) const {
    const bool is_serial =
        dynamic_cast<OrderedOperator*>(op) != nullptr || sets_.merges[static_cast<size_t>(node_)];
    const int threads = node().inputs.empty() ? group().threads : input().threads;
    const Node& above = node().inputs.empty() || node().inputs.size() > 1
                            ? node()
                            : graph_.nodes()[static_cast<size_t>(node().inputs[0].node)];
    op->set_place(is_serial ? 1 : threads, above.watermark_type);
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

  static size_t partitions_of(const Node& node) {
    const auto* topic = std::get_if<TopicSourceSpec>(&node.spec);
    return topic == nullptr ? 1 : topic->partitions.size();
  }

  void plan_groups() {
    std::vector<size_t> partitions;
    for (const Node& node : graph_.nodes()) {
      if (node.inputs.empty()) partitions.push_back(partitions_of(node));
    }
    scopes_.resize(sets_.groups.size());
    for (const std::vector<int>& members : sets_.groups) {
      PlannedGroup group;
      size_t lanes = 0;
      for (const int source : members) {
        group.sources.push_back(static_cast<size_t>(source));
        group.first_lanes.push_back(static_cast<int>(lanes));
        lanes += partitions[static_cast<size_t>(source)];
      }
      group.threads = std::min(options_.threads, static_cast<int>(lanes));
      plan_.groups.push_back(std::move(group));
    }
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      if (!sets_.merges[i]) continue;
      node_ = static_cast<int>(i);
      if (!group().timeline) group().timeline = std::make_unique<Timeline>();
    }
  }

  // The scope of the sources above the node, among those of its group.
  int scope() {
    const PlannedGroup& in = group();
    auto& scopes = scopes_[sets_.group_of[in.sources[0]]];
    const auto known = std::find(scopes.begin(), scopes.end(), sources_above());
    if (known == scopes.end()) scopes.push_back(sources_above());
    return static_cast<int>(std::find(scopes.begin(), scopes.end(), sources_above()) -
                            scopes.begin());
  }

  // Of windows whose results meet operators that read watermarks.
  void plan_paths() {
    for (size_t i = 0; i < plan_.operators.size(); ++i) {
      Operator& op = *plan_.operators[i];
      if (!op.reads_watermarks() || !op.has_readers()) continue;
      node_ = static_cast<int>(i);
      if (sources_above().size() > 1) {
        if (!group().timeline) group().timeline = std::make_unique<Timeline>();
        op.set_path(group().timeline.get(), scope());
        continue;
      }
      const auto index = static_cast<size_t>(sources_above()[0]);
      PlannedSource& source = plan_.sources[index];
      if (!source.path) {
        source.path =
            std::make_unique<WatermarkPath>(source.reader.get(), source_plans_[index].delay);
      }
      op.set_path(source.path.get());
    }
  }

  void make_readers() {
    for (size_t g = 0; g < plan_.groups.size(); ++g) {
      PlannedGroup& group = plan_.groups[g];
      const auto place = [&](int source) {
        const auto at =
            std::find(group.sources.begin(), group.sources.end(), static_cast<size_t>(source));
        return static_cast<int>(at - group.sources.begin());
      };
      std::vector<SourceReader*> readers;
      std::vector<Timeline::Source> times;
      for (const size_t source : group.sources) {
        readers.push_back(plan_.sources[source].reader.get());
        const SourceOperator::Plan& plan = source_plans_[source];
        times.push_back({readers.back(), std::nullopt});
        if (plan.has_watermark) times.back().delay = plan.delay;
      }
      std::vector<WatermarkScope> scopes;
      for (const std::vector<int>& members : scopes_[g]) {
        std::vector<int> places;
        std::set<std::pair<TypeId, TimeUnit>> ticks;
        for (const int source : members) {
          places.push_back(place(source));
          const auto& type = watermark_type(plan_.sources[static_cast<size_t>(source)].node);
          if (type) ticks.emplace(type->id, type->unit);
        }
        scopes.emplace_back(std::move(places), ticks.size() <= 1);
      }
      group.reader = std::make_unique<SourceGroup>(readers, std::move(scopes), options_.turn_rows);
      if (group.timeline) group.timeline->set_sources(std::move(times), group.reader.get());
    }
  }

  const std::optional<DataType>& watermark_type(int node) const {
    return graph_.nodes()[static_cast<size_t>(node)].watermark_type;
  }

  // What a source must do for the rows of these sources to have each its own watermark.
  void need_row_watermarks(const Edge& edge) {
    if (!edge.is_parallel) return;
    for (const int source : edge.sources) {
      source_plans_[static_cast<size_t>(source)].needs_row_watermarks = true;
    }
  }

  // When a filter is all that reads a source, it may leave batches unread.
  void plan_skip(int source, SourceOperator::Plan* plan) const {
    int consumer = -1;
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      for (const Port from : graph_.nodes()[i].inputs) {
        if (from != Port{source, 0}) continue;
        if (consumer >= 0) return;
        consumer = static_cast<int>(i);
      }
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
        graph_.schema(node().inputs[0])->fields[static_cast<size_t>(declared)].name;
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
    source.topic = reader->topic();
    auto root = std::make_unique<SourceOperator>(node().name, kind, reader.get());
    source.root = root.get();
    source.reader = std::move(reader);
    SourceOperator::Plan plan;
    plan.chunk_rows = options_.chunk_rows;
    Edge& edge = output(0);
    edge = {select(declared, columns), group().threads, true, sources_above(), {}};
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
    output(0).sources = in.sources;
    output(kLateOutput).schema = plan.late_schema;
    output(kLateOutput).sources = in.sources;
    return plan;
  }

  std::unique_ptr<Operator> make(const WindowSpec& spec) {
    const Edge& in = input();
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    if (!aggregation.trigger.is_plain()) {
      // What the watermark fires comes before the very row that saw it.
      need_row_watermarks(in);
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
    if (!is_source_time) {
      need_row_watermarks(in);
    } else if (in.is_parallel) {
      for (const int source : in.sources) {
        source_plans_[static_cast<size_t>(source)].windows.push_back(window.get());
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
    need_row_watermarks(input());
    return std::make_unique<SessionOperator>(node().name, std::move(plan), std::move(aggregation));
  }

  std::unique_ptr<Operator> make(const CountWindowSpec& spec) {
    auto aggregation = spec.aggregation;
    WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
    // What comes out carries the watermark of the record that completed it.
    need_row_watermarks(input());
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
    need_row_watermarks(input());
    if (aggregation.has_own_trigger) {
      if (std::holds_alternative<windows::WindowSpec>(aggregation.windows)) kind = "window";
      auto stage =
          std::make_unique<TriggerStageOperator>(node().name, kind, std::move(plan), aggregation);
      plan_.stages.push_back({node_, stage.get()});
      return stage;
    }
    return std::make_unique<TriggeredOperator<windows::PaneAggregation>>(
        node().name, kind, std::move(plan), aggregation);
  }

  std::unique_ptr<Operator> make(const PythonStageSpec& spec) {
    output(0).schema = spec.output_schema;
    output(0).sources = input().sources;
    if (spec.keeps_rows) need_row_watermarks(input());  // windows below may ask for them
    auto stage =
        std::make_unique<PythonStageOperator>(node().name, spec.output_schema, spec.keeps_rows);
    plan_.stages.push_back({node_, stage.get()});
    return stage;
  }

  std::unique_ptr<Operator> make(const ProcessingTimeSpec& spec) {
    const Edge& in = input();
    auto schema = std::make_shared<Schema>(*in.schema);
    schema->fields.push_back(node().outputs[0]->fields.back());
    output(0) = in;
    output(0).schema = schema;
    output(0).sources = {};  // whose watermarks mean nothing below
    output(0).event_times = {};
    auto made =
        std::make_unique<ProcessingTimeOperator>(node().name, std::move(schema), spec.waits);
    group().clocks.push_back(made.get());
    return made;
  }

  std::unique_ptr<Operator> make(const UnionSpec&) {
    const bool merges = sets_.merges[static_cast<size_t>(node_)];
    UnionOperator::Plan plan;
    const Schema& declared = *node().outputs[0];
    plan.schema = select(declared, kept_columns(declared, 0));
    plan.scope = scope();
    plan.timeline = merges ? group().timeline.get() : nullptr;
    plan.chunk_rows = options_.chunk_rows;
    Edge out{plan.schema, merges ? 1 : group().threads, !merges, sources_above(), {}};
    for (size_t k = 0; k < node().inputs.size(); ++k) {
      const Port from = node().inputs[k];
      const Edge& in = edges_[static_cast<size_t>(from.node)][static_cast<size_t>(from.output)];
      plan.columns.emplace_back();
      for (const Field& field : plan.schema->fields) {
        plan.columns.back().push_back(in.schema->index_of(field.name));
      }
      if (merges) need_row_watermarks(in);
      std::set<std::string> times;
      for (const std::string& time : in.event_times) {
        if (k == 0 || out.event_times.contains(time)) times.insert(time);
      }
      out.event_times = std::move(times);
    }
    output(0) = std::move(out);
    auto made = std::make_unique<UnionOperator>(node().name, std::move(plan));
    group().unions.push_back(made.get());
    return made;
  }

  std::unique_ptr<Operator> make(const TopicSinkSpec& spec) {
    return std::make_unique<TopicSinkOperator>(node().name, spec);
  }

  std::unique_ptr<Operator> make(const CollectSpec&) {
    auto collect = std::make_unique<CollectOperator>(node().name);
    plan_.collects.push_back({node_, collect.get()});
    return collect;
  }

  const Graph& graph_;
  const ExecutorOptions& options_;
  const ColumnsNeeded needed_;
  const SourceSets sets_;
  int node_ = 0;  // being planned
  std::vector<std::vector<Edge>> edges_;
  std::vector<SourceOperator::Plan> source_plans_;
  std::vector<std::vector<std::vector<int>>> scopes_;  // per group: sets of sources
  Plan plan_;
};

}  // namespace

Plan make_plan(const Graph& graph, const ExecutorOptions& options) {
  return Planner(graph, options).plan();
}

}  // namespace pystream::runtime
