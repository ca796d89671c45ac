#include "runtime/plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "runtime/graph_checks.hpp"
#include "runtime/planner.hpp"

namespace pystream::runtime {

namespace {

size_t partitions_of(const Node& node) {
  const auto* topic = std::get_if<TopicSourceSpec>(&node.spec);
  return topic == nullptr ? 1 : topic->partitions.size();
}

}  // namespace

Plan Planner::plan() {
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

void Planner::set_place(Operator* op) const {
  const bool is_serial =
      dynamic_cast<OrderedOperator*>(op) != nullptr || sets_.merges[static_cast<size_t>(node_)];
  const int threads = node().inputs.empty() ? group().threads : input().threads;
  const Node& above = node().inputs.empty() || node().inputs.size() > 1
                          ? node()
                          : graph_.nodes()[static_cast<size_t>(node().inputs[0].node)];
  op->set_place(is_serial ? 1 : threads, above.watermark_type);
}

void Planner::plan_groups() {
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
int Planner::scope() {
  const PlannedGroup& in = group();
  auto& scopes = scopes_[sets_.group_of[in.sources[0]]];
  const auto known = std::find(scopes.begin(), scopes.end(), sources_above());
  if (known == scopes.end()) scopes.push_back(sources_above());
  return static_cast<int>(std::find(scopes.begin(), scopes.end(), sources_above()) -
                          scopes.begin());
}

// Of windows whose results meet operators that read watermarks.
void Planner::plan_paths() {
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

void Planner::make_readers() {
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

// What a source must do for the rows of these sources to have each its own watermark.
void Planner::need_row_watermarks(const Edge& edge) {
  if (!edge.is_parallel) return;
  for (const int source : edge.sources) {
    source_plans_[static_cast<size_t>(source)].needs_row_watermarks = true;
  }
}

// A filter may leave out the rows without event time; without one they are found where they are
// read.
void Planner::need_event_times(const Edge& edge, const std::string& column) {
  if (!edge.is_whole || !edge.event_times.contains(column)) return;
  for (const int source : edge.sources) {
    plan_.sources[static_cast<size_t>(source)].reader->require_event_times();
  }
}

// When a filter is all that reads a source, it may leave batches unread.
void Planner::plan_skip(int source, SourceOperator::Plan* plan) const {
  int consumer = -1;
  for (size_t i = 0; i < graph_.nodes().size(); ++i) {
    for (const Port from : graph_.nodes()[i].inputs) {
      if (from != Port{source, 0}) continue;
      if (consumer >= 0) return;
      consumer = static_cast<int>(i);
    }
  }
  const auto* filter = std::get_if<FilterSpec>(&graph_.nodes()[static_cast<size_t>(consumer)].spec);
  if (filter == nullptr) return;
  plan->skip = BatchSkip::of(*filter->condition, edges_[static_cast<size_t>(source)][0].schema);
  plan->filter = plan_.operators[static_cast<size_t>(consumer)].get();
}

// Columns of `schema` that output `index` of the current node must carry, in order.
std::vector<int> Planner::kept_columns(const Schema& schema, int index) const {
  std::vector<int> kept;
  for (int i = 0; i < schema.size(); ++i) {
    if (needed(index).contains(schema.fields[static_cast<size_t>(i)].name)) kept.push_back(i);
  }
  return kept;
}

SchemaPtr Planner::select(const Schema& schema, const std::vector<int>& columns) {
  auto selected = std::make_shared<Schema>();
  for (const int i : columns) selected->fields.push_back(schema.fields[static_cast<size_t>(i)]);
  return selected;
}

// The index in the edge of what the spec names by its index in the declared schema.
int Planner::to_input(int declared) const {
  const std::string& name =
      graph_.schema(node().inputs[0])->fields[static_cast<size_t>(declared)].name;
  return input().schema->index_of(name);
}

Plan make_plan(const Graph& graph, const ExecutorOptions& options, bool goes_on) {
  return Planner(graph, options, goes_on).plan();
}

}  // namespace pystream::runtime
