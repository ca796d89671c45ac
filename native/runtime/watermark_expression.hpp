#pragma once
// The watermark that each record gives by an expression over its columns: Flink's punctuated and
// custom generators. Where it is null the record gives none.

#include <string>
#include <vector>

#include "columns/record_batch.hpp"
#include "expressions/expression.hpp"

namespace pystream::runtime {

// Immutable; any thread.
class WatermarkExpression {
 public:
  // Throws kSchema when the expression does not fit the columns of the source.
  WatermarkExpression(const expressions::Expression& expression, const Schema& source);

  const DataType& type() const { return bound_->type(); }
  // What evaluate() needs, in this order.
  const SchemaPtr& schema() const { return schema_; }
  // One value per row, plain. Throws kOperator, naming expression and row.
  Array evaluate(const RecordBatch& rows) const;

 private:
  SchemaPtr schema_;
  expressions::BoundExpressionPtr bound_;
};

}  // namespace pystream::runtime
