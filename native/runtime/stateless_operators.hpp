#pragma once
// Filter and project: one batch in, at most one out, no state.

#include <string>
#include <vector>

#include "expressions/expression.hpp"
#include "runtime/operator.hpp"

namespace pystream::runtime {

// Passes the rows where the condition is true, and of them only the columns that somebody needs.
class FilterOperator final : public Forgetful<Operator> {
 public:
  // `condition` is bound to the input; `keep`: indexes of the input's columns, `output` their
  // schema.
  FilterOperator(std::string name, expressions::BoundExpressionPtr condition, std::vector<int> keep,
                 SchemaPtr output);

 protected:
  void process(Rows&& rows, Lane& lane) override;

 private:
  expressions::BoundExpressionPtr condition_;
  std::vector<int> keep_;
  SchemaPtr output_;
};

// Computes columns.
class ProjectOperator final : public Forgetful<Operator> {
 public:
  ProjectOperator(std::string name, std::vector<expressions::BoundExpressionPtr> expressions,
                  SchemaPtr output);

 protected:
  void process(Rows&& rows, Lane& lane) override;

 private:
  std::vector<expressions::BoundExpressionPtr> expressions_;
  SchemaPtr output_;
};

// Of the rows at `indices`, whose columns are `taken`: their watermarks and positions with them.
Rows take(const Rows& rows, RecordBatch&& taken, std::span<const int32_t> indices);
// The watermarks alone.
windows::RowWatermarks take(const windows::RowWatermarks& watermarks,
                            std::span<const int32_t> indices);

// The columns at `indices`, sharing buffers.
RecordBatch select_columns(const RecordBatch& batch, std::span<const int> indices,
                           const SchemaPtr& schema);

}  // namespace pystream::runtime
