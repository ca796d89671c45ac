#include "runtime/graph_checks.hpp"

#include <variant>
#include <vector>

#include "base/error.hpp"

namespace pystream::runtime {

void check_consumers(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes();
  std::vector<bool> is_consumed(nodes.size(), false);
  for (const Node& node : nodes) {
    for (const Port from : node.inputs) is_consumed[static_cast<size_t>(from.node)] = true;
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (node.outputs.empty() || is_consumed[i]) continue;
    throw Error(
        ErrorCode::kConfig,
        "the output of operator '" + node.name + "' goes nowhere. Add a sink or collect behind it.",
        {{"operator", node.name}});
  }
  if (nodes.empty()) {
    throw Error(ErrorCode::kConfig, "the graph is empty. Add a source and a sink.");
  }
}

bool drops_at_end(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return false;
  const Node& above = graph.nodes()[static_cast<size_t>(node.inputs[0].node)];
  const auto* clock = std::get_if<ProcessingTimeSpec>(&above.spec);
  return clock != nullptr && !clock->waits && !clock->shows_last;
}

}  // namespace pystream::runtime
