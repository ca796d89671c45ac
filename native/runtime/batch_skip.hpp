#pragma once
// Deciding by the stored minima and maxima that a filter passes no row of a batch, so that the
// batch need not be read.

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "expressions/expression.hpp"
#include "storage/log_batch.hpp"

namespace pystream::runtime {

// The bounds of a column by its index, where they are known.
using ColumnBounds = std::function<std::optional<storage::ColumnStatistics>(int column)>;

// Immutable; any thread.
class BatchSkip {
 public:
  // For a comparison (==, <, <=, >, >=) of a column of `schema` with a literal, or several joined
  // by "and"; none for any other condition.
  static std::optional<BatchSkip> of(const expressions::Expression& condition,
                                     const SchemaPtr& schema);

  // True when no row between the bounds fulfils the condition. Comparisons with null and NaN are
  // never true, so rows outside of the bounds do not matter.
  bool can_skip(const ColumnBounds& bounds) const;

 private:
  // A comparison that is monotone in its column: when it is false at the minimum and at the
  // maximum, it is false in between.
  struct Test {
    int column;
    SchemaPtr schema;  // of that column alone
    expressions::BoundExpressionPtr condition;
  };

  static bool add_tests(const expressions::Expression& condition, const Schema& schema,
                        std::vector<Test>* tests, std::set<const expressions::Expression*>* seen);

  std::vector<Test> tests_;
};

}  // namespace pystream::runtime
