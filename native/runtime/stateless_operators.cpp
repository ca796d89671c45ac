#include "runtime/stateless_operators.hpp"

#include <utility>

namespace pystream::runtime {

namespace {

Buffer take_numbers(const Buffer& numbers, std::span<const int32_t> indices) {
  if (!numbers) return {};
  MutableBuffer values(static_cast<int64_t>(indices.size() * sizeof(int64_t)));
  const int64_t* from = numbers.as<int64_t>();
  int64_t* to = values.as<int64_t>();
  for (size_t i = 0; i < indices.size(); ++i) to[i] = from[indices[i]];
  return values.freeze();
}

}  // namespace

Rows take(const Rows& rows, RecordBatch&& taken, std::span<const int32_t> indices) {
  return {std::move(taken), take(rows.watermarks, indices), take_numbers(rows.positions, indices)};
}

windows::RowWatermarks take(const windows::RowWatermarks& watermarks,
                            std::span<const int32_t> indices) {
  windows::RowWatermarks taken;
  taken.all = watermarks.all;
  // Numbers of rows that were left out are used again, but those that follow come later still.
  taken.first_arrival = watermarks.first_arrival;
  taken.per_row = take_numbers(watermarks.per_row, indices);
  return taken;
}

RecordBatch select_columns(const RecordBatch& batch, std::span<const int> indices,
                           const SchemaPtr& schema) {
  RecordBatch selected;
  selected.schema = schema;
  selected.num_rows = batch.num_rows;
  selected.columns.reserve(indices.size());
  for (const int index : indices) {
    selected.columns.push_back(batch.columns[static_cast<size_t>(index)]);
  }
  return selected;
}

FilterOperator::FilterOperator(std::string name, expressions::BoundExpressionPtr condition,
                               std::vector<int> keep, SchemaPtr output)
    : Forgetful(std::move(name), "filter"),
      condition_(std::move(condition)),
      keep_(std::move(keep)),
      output_(std::move(output)) {}

void FilterOperator::process(Rows&& rows, Lane& lane) {
  expressions::select_true(condition_->evaluate(rows.batch), &lane.indices);
  const auto selected = static_cast<int64_t>(lane.indices.size());
  if (selected == 0) return;
  RecordBatch kept = select_columns(rows.batch, keep_, output_);
  if (selected == rows.batch.num_rows) {
    rows.batch = std::move(kept);
    emit(0, std::move(rows), lane);
  } else {
    emit(0, take(rows, kept.take(lane.indices), lane.indices), lane);
  }
}

ProjectOperator::ProjectOperator(std::string name,
                                 std::vector<expressions::BoundExpressionPtr> expressions,
                                 SchemaPtr output)
    : Forgetful(std::move(name), "project"),
      expressions_(std::move(expressions)),
      output_(std::move(output)) {}

void ProjectOperator::process(Rows&& rows, Lane& lane) {
  RecordBatch computed;
  computed.schema = output_;
  computed.num_rows = rows.batch.num_rows;
  computed.columns.reserve(expressions_.size());
  for (const auto& expression : expressions_) {
    computed.columns.push_back(expression->evaluate(rows.batch));
  }
  rows.batch = std::move(computed);
  emit(0, std::move(rows), lane);
}

}  // namespace pystream::runtime
