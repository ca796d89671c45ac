#include "runtime/source_sets.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace pystream::runtime {

namespace {

// Sets of sources that grow together.
class Groups {
 public:
  explicit Groups(size_t sources) : parent_(sources) {
    std::iota(parent_.begin(), parent_.end(), 0);
  }
  size_t root(size_t source) const {
    while (parent_[source] != source) source = parent_[source];
    return source;
  }
  // The earlier root stays one.
  void join(size_t one, size_t other) {
    const size_t first = root(one);
    const size_t second = root(other);
    parent_[std::max(first, second)] = std::min(first, second);
  }

 private:
  std::vector<size_t> parent_;
};

bool is_source(const Node& node) { return node.inputs.empty(); }

// Whether its results leave in the parallel phase, as those of its input do.
bool keeps_parallel(const Node& node, int output) {
  if (is_source(node)) return true;
  if (std::holds_alternative<FilterSpec>(node.spec)) return true;
  if (std::holds_alternative<ProjectSpec>(node.spec)) return true;
  if (std::holds_alternative<ProcessingTimeSpec>(node.spec)) return true;
  if (std::holds_alternative<UnionSpec>(node.spec)) return true;
  const auto* window = std::get_if<WindowSpec>(&node.spec);
  return window != nullptr && output == kLateOutput && window->aggregation.trigger.is_plain();
}

std::vector<int> merged(const std::vector<int>& left, const std::vector<int>& right) {
  std::set<int> all(left.begin(), left.end());
  all.insert(right.begin(), right.end());
  return {all.begin(), all.end()};
}

}  // namespace

SourceSets source_sets(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes();
  SourceSets sets;
  sets.of_node.resize(nodes.size());
  sets.merges.resize(nodes.size());
  sets.is_above_merge.resize(nodes.size());
  std::vector<bool> is_parallel(nodes.size(), false);  // what comes into it
  const auto comes_parallel = [&](Port port) {
    const auto from = static_cast<size_t>(port.node);
    return is_parallel[from] && !sets.merges[from] && keeps_parallel(nodes[from], port.output);
  };
  int sources = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (is_source(nodes[i])) sets.of_node[i] = {sources++};
    size_t ways = 0;
    for (const Port input : nodes[i].inputs) {
      const std::vector<int>& above = sets.of_node[static_cast<size_t>(input.node)];
      ways += above.size();
      sets.of_node[i] = merged(sets.of_node[i], above);
    }
    is_parallel[i] = std::all_of(nodes[i].inputs.begin(), nodes[i].inputs.end(), comes_parallel);
    const bool is_union = std::holds_alternative<UnionSpec>(nodes[i].spec);
    sets.merges[i] = is_union && (!is_parallel[i] || ways > sets.of_node[i].size());
  }
  Groups groups(static_cast<size_t>(sources));
  for (const std::vector<int>& together : sets.of_node) {
    for (const int source : together) {
      groups.join(static_cast<size_t>(together[0]), static_cast<size_t>(source));
    }
  }
  std::map<size_t, std::vector<int>> by_root;
  for (int source = 0; source < sources; ++source) {
    by_root[groups.root(static_cast<size_t>(source))].push_back(source);
  }
  sets.group_of.resize(static_cast<size_t>(sources));
  for (auto& [root, members] : by_root) {
    for (const int source : members) {
      sets.group_of[static_cast<size_t>(source)] = sets.groups.size();
    }
    sets.groups.push_back(std::move(members));
  }
  // Inputs come before the nodes they feed, so a walk from the end sees consumers first.
  for (size_t i = nodes.size(); i-- > 0;) {
    if (!sets.merges[i] && !sets.is_above_merge[i]) continue;
    for (const Port input : nodes[i].inputs) {
      sets.is_above_merge[static_cast<size_t>(input.node)] = true;
    }
  }
  return sets;
}

}  // namespace pystream::runtime
