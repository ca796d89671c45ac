#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/batch_reader.hpp"
#include "runtime/hybrid_reader.hpp"
#include "runtime/planner.hpp"
#include "runtime/stateless_operators.hpp"
#include "runtime/topic_sink.hpp"

namespace pystream::runtime {

template <typename Reader, typename Spec>
std::unique_ptr<Operator> Planner::make_source(const Spec& spec, const char* kind) {
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
  edge = {select(declared, columns), group().threads, true, sources_above(), {}, true};
  if (spec.watermark) {
    plan.has_watermark = true;
    plan.delay = delay_of(*spec.watermark);
    edge.event_times.insert(spec.watermark->event_time_column);
  }
  source_plans_.push_back(std::move(plan));
  plan_.sources.push_back(std::move(source));
  return root;
}

std::unique_ptr<Operator> Planner::make(const TopicSourceSpec& spec) {
  TopicSourceSpec from = spec;
  if (goes_on_) from.start_offsets.clear();
  if (from.history) return make_source<HybridReader>(from, "hybrid source");
  return make_source<TopicReader>(from, "topic source");
}

std::unique_ptr<Operator> Planner::make(const BatchSourceSpec& spec) {
  return make_source<BatchReader>(spec, "batch source");
}

std::unique_ptr<Operator> Planner::make(const FilterSpec& spec) {
  const SchemaPtr& in = input().schema;
  const std::vector<int> kept = kept_columns(*in, 0);
  output(0) = input();
  output(0).schema = select(*in, kept);
  output(0).is_whole = false;
  return std::make_unique<FilterOperator>(node().name, expressions::bind(*spec.condition, *in),
                                          kept, output(0).schema);
}

std::unique_ptr<Operator> Planner::make(const ProjectSpec& spec) {
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

std::unique_ptr<Operator> Planner::make(const PythonStageSpec& spec) {
  output(0).schema = spec.output_schema;
  output(0).sources = input().sources;
  if (spec.keeps_rows) need_row_watermarks(input());  // windows below may ask for them
  auto stage =
      std::make_unique<PythonStageOperator>(node().name, spec.output_schema, spec.keeps_rows);
  plan_.stages.push_back({node_, stage.get()});
  return stage;
}

std::unique_ptr<Operator> Planner::make(const ProcessingTimeSpec& spec) {
  const Edge& in = input();
  auto schema = std::make_shared<Schema>(*in.schema);
  schema->fields.push_back(node().outputs[0]->fields.back());
  output(0) = in;
  output(0).schema = schema;
  output(0).sources = {};  // whose watermarks mean nothing below
  output(0).event_times = {};
  auto made = std::make_unique<ProcessingTimeOperator>(node().name, std::move(schema), spec.waits);
  group().clocks.push_back(made.get());
  return made;
}

std::unique_ptr<Operator> Planner::make(const UnionSpec&) {
  const bool merges = sets_.merges[static_cast<size_t>(node_)];
  UnionOperator::Plan plan;
  const Schema& declared = *node().outputs[0];
  plan.schema = select(declared, kept_columns(declared, 0));
  plan.scope = scope();
  plan.timeline = merges ? group().timeline.get() : nullptr;
  plan.chunk_rows = options_.chunk_rows;
  Edge out{plan.schema, merges ? 1 : group().threads, !merges, sources_above(), {}, true};
  for (size_t k = 0; k < node().inputs.size(); ++k) {
    const Port from = node().inputs[k];
    const Edge& in = edges_[static_cast<size_t>(from.node)][static_cast<size_t>(from.output)];
    plan.columns.emplace_back();
    for (const Field& field : plan.schema->fields) {
      plan.columns.back().push_back(in.schema->index_of(field.name));
    }
    if (merges) need_row_watermarks(in);
    out.is_whole = out.is_whole && in.is_whole;
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

std::unique_ptr<Operator> Planner::make(const TopicSinkSpec& spec) {
  if (spec.timestamp_column >= 0) {
    const auto column = static_cast<size_t>(spec.timestamp_column);
    need_event_times(input(), graph_.schema(node().inputs[0])->fields[column].name);
  }
  return std::make_unique<TopicSinkOperator>(node().name, spec);
}

std::unique_ptr<Operator> Planner::make(const CollectSpec&) {
  auto collect = std::make_unique<CollectOperator>(node().name);
  plan_.collects.push_back({node_, collect.get()});
  return collect;
}

}  // namespace pystream::runtime
