#pragma once
// Which sources lie above each operator, and which of them must be read in one order because they
// meet.

#include <cstddef>
#include <vector>

#include "runtime/graph.hpp"

namespace pystream::runtime {

struct SourceSets {
  // By node, ascending: its sources, by their place among the sources of the graph.
  std::vector<std::vector<int>> of_node;
  // Each source is in one, ascending; groups in the order of their first sources.
  std::vector<std::vector<int>> groups;
  std::vector<size_t> group_of;  // by source
  // By node: whether the rows of its inputs must be merged by position. Of unions only.
  std::vector<bool> merges;
  // By node: whether such a union lies below.
  std::vector<bool> is_above_merge;
};

SourceSets source_sets(const Graph& graph);

}  // namespace pystream::runtime
