#pragma once
// What a plan asks of a whole graph, before it makes operators of it.

#include "runtime/graph.hpp"

namespace pystream::runtime {

// Throws kConfig when an operator's output goes nowhere, or there is no operator.
void check_consumers(const Graph& graph);

// Whether the end of the input shows nothing of what the node holds: a window of the clock.
bool drops_at_end(const Graph& graph, const Node& node);

}  // namespace pystream::runtime
