#include "runtime/columns_needed.hpp"

namespace pystream::runtime {

namespace {

using Names = std::set<std::string>;

void add_columns(const expressions::Expression& expression, Names* names) {
  std::set<const expressions::Expression*> seen;  // parts may stand in several places
  std::vector<const expressions::Expression*> open = {&expression};
  while (!open.empty()) {
    const expressions::Expression* part = open.back();
    open.pop_back();
    if (!seen.insert(part).second) continue;
    if (part->kind == expressions::Expression::Kind::kColumn) names->insert(part->column);
    for (const auto& argument : part->arguments) open.push_back(argument.get());
  }
}

void add_column(const Schema& schema, int index, Names* names) {
  names->insert(schema.fields[static_cast<size_t>(index)].name);
}

// What an operator needs of its input, given what is needed of its outputs.
struct InputColumns {
  const Schema& input;
  const std::vector<Names>& needed;  // per output
  Names* names;

  void all() const {
    for (const Field& field : input.fields) names->insert(field.name);
  }

  template <typename Aggregation>
  void window(const Aggregation& aggregation) const {
    for (const int key : aggregation.key_columns) add_column(input, key, names);
    if (aggregation.event_time_column >= 0) {
      add_column(input, aggregation.event_time_column, names);
    }
    for (const auto& aggregate : aggregation.aggregates) {
      if (aggregate.input >= 0) add_column(input, aggregate.input, names);
      if (aggregate.by >= 0) add_column(input, aggregate.by, names);
      for (const int other : aggregate.others) add_column(input, other, names);
    }
    names->insert(needed[kLateOutput].begin(), needed[kLateOutput].end());
  }

  void operator()(const TopicSourceSpec&) const {}
  void operator()(const BatchSourceSpec&) const {}
  void operator()(const FilterSpec& spec) const {
    names->insert(needed[0].begin(), needed[0].end());
    add_columns(*spec.condition, names);
  }
  void operator()(const ProjectSpec& spec) const {
    for (const NamedExpression& output : spec.outputs) {
      if (needed[0].contains(output.name)) add_columns(*output.expression, names);
    }
  }
  void operator()(const WindowSpec& spec) const { window(spec.aggregation); }
  void operator()(const SessionWindowSpec& spec) const {
    window(spec.aggregation);
    const int gap = spec.aggregation.session.gap_column;
    if (gap >= 0) add_column(input, gap, names);
  }
  void operator()(const CountWindowSpec& spec) const { window(spec.aggregation); }
  void operator()(const PaneWindowSpec& spec) const {
    if (spec.trigger) return all();  // which may look at any of them
    window(spec.aggregation);
    const auto* session = std::get_if<windows::SessionSpec>(&spec.aggregation.windows);
    if (session != nullptr && session->gap_column >= 0) {
      add_column(input, session->gap_column, names);
    }
  }
  void operator()(const PythonStageSpec&) const { all(); }
  void operator()(const ProcessingTimeSpec& spec) const {
    for (const std::string& name : needed[0]) {
      if (name != spec.column) names->insert(name);
    }
  }
  void operator()(const UnionSpec&) const { names->insert(needed[0].begin(), needed[0].end()); }
  void operator()(const TopicSinkSpec&) const { all(); }
  void operator()(const CollectSpec&) const { all(); }
};

}  // namespace

std::set<std::string> columns_of(const expressions::Expression& expression) {
  Names names;
  add_columns(expression, &names);
  return names;
}

ColumnsNeeded columns_needed(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes();
  ColumnsNeeded needed(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) needed[i].resize(nodes[i].outputs.size());
  // Inputs come before the nodes they feed, so a walk from the end sees consumers first.
  for (size_t i = nodes.size(); i-- > 0;) {
    const Node& node = nodes[i];
    for (const Port input : node.inputs) {
      const auto from = static_cast<size_t>(input.node);
      const auto output = static_cast<size_t>(input.output);
      std::visit(InputColumns{*nodes[from].outputs[output], needed[i], &needed[from][output]},
                 node.spec);
    }
  }
  return needed;
}

}  // namespace pystream::runtime
