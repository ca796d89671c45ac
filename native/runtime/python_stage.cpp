#include "runtime/python_stage.hpp"

#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace pystream::runtime {

PythonStageOperator::PythonStageOperator(std::string name, SchemaPtr output, bool keeps_rows)
    : StageOperator(std::move(name), "python stage"),
      output_(std::move(output)),
      keeps_rows_(keeps_rows) {}

void PythonStageOperator::deliver(Rows&& rows, Lane&) {
  if (!keeps_rows_) rows.watermarks.per_row = {};  // those of rows that may be no more
  queue_.push_back({std::move(rows.batch), std::move(rows.watermarks), std::move(rows.positions)});
}

void PythonStageOperator::on_watermark(int64_t watermark, Lane&) {
  windows::RowWatermarks watermarks;
  watermarks.all = watermark;
  queue_.push_back({std::nullopt, std::move(watermarks)});
  move_watermarks();
}

void PythonStageOperator::move_watermarks() {
  while (!is_taken_ && !queue_.empty() && !queue_.front().batch) {
    outbox_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
}

std::optional<RecordBatch> PythonStageOperator::take() {
  if (is_taken_) {
    throw Error(ErrorCode::kConfig,
                "stage '" + name() +
                    "' was asked for a batch while one is out. Give the outputs of the batch taken "
                    "last first.",
                {{"operator", name()}});
  }
  if (queue_.empty()) return std::nullopt;
  is_taken_ = true;
  taken_at_ns_ = monotonic_ns();
  taken_watermarks_ = std::move(queue_.front().watermarks);
  taken_positions_ = std::move(queue_.front().positions);
  RecordBatch batch = std::move(*queue_.front().batch);  // no watermark is at the head
  taken_rows_ = batch.num_rows;
  queue_.pop_front();
  return batch;
}

void PythonStageOperator::give(std::vector<RecordBatch> outputs) {
  if (!is_taken_) {
    throw Error(
        ErrorCode::kConfig,
        "stage '" + name() + "' was given batches without one being out. Take a batch first.",
        {{"operator", name()}});
  }
  for (const RecordBatch& batch : outputs) {
    if (batch.schema == output_ || *batch.schema == *output_) continue;
    throw Error(ErrorCode::kSchema,
                "stage '" + name() + "' returned (" + batch.schema->to_string() +
                    "), but its schema is (" + output_->to_string() +
                    "). Return the columns of the schema in its order.",
                {{"operator", name()}});
  }
  if (keeps_rows_ && (outputs.size() != 1 || outputs[0].num_rows != taken_rows_)) {
    throw Error(ErrorCode::kSchema,
                "stage '" + name() + "' was to return one batch of " + std::to_string(taken_rows_) +
                    " rows. Return a row for each of the input.",
                {{"operator", name()}});
  }
  is_taken_ = false;
  OperatorMetrics::add(metrics_.busy_ns, monotonic_ns() - taken_at_ns_);
  for (RecordBatch& batch : outputs) {
    if (batch.num_rows > 0) {
      outbox_.push_back({std::move(batch), taken_watermarks_, taken_positions_});
    }
  }
  move_watermarks();
}

void PythonStageOperator::drain(Lane& lane) {
  Operator* caller = lane.enter(this);
  for (Entry& entry : std::exchange(outbox_, {})) {
    if (!entry.batch) {
      forward_watermark(entry.watermarks.all, lane);
      continue;
    }
    if (!keeps_rows_) {
      entry.watermarks.first_arrival = arrivals_;
      arrivals_ += entry.batch->num_rows;
    }
    Rows rows{std::move(*entry.batch), std::move(entry.watermarks)};
    if (keeps_rows_) {
      rows.positions = std::move(entry.positions);
    } else if (entry.positions) {
      lane.position = entry.positions.as<int64_t>()[0];  // all where their batch stood
    }
    emit(0, std::move(rows), lane);
  }
  lane.leave(caller);
}

}  // namespace pystream::runtime
