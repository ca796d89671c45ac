#pragma once
// Column liveness: which columns of each output somebody downstream needs.

#include <set>
#include <string>
#include <vector>

#include "runtime/graph.hpp"

namespace pystream::runtime {

// By node and output: names of columns.
using ColumnsNeeded = std::vector<std::vector<std::set<std::string>>>;

// Filters and projections need what their expressions and consumers do, windows their keys, times
// and inputs (and what consumers of late rows need); whatever leaves the core needs all.
ColumnsNeeded columns_needed(const Graph& graph);

// Names of the columns in an expression.
std::set<std::string> columns_of(const expressions::Expression& expression);

}  // namespace pystream::runtime
