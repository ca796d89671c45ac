#include "runtime/python_stage.hpp"

#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace pystream::runtime {

PythonStageOperator::PythonStageOperator(std::string name, SchemaPtr output)
    : OrderedOperator(std::move(name), "python stage"), output_(std::move(output)) {}

void PythonStageOperator::deliver(Rows&& rows, Lane&) {
  queue_.push_back({std::move(rows.batch), rows.watermarks.all});
}

void PythonStageOperator::on_watermark(int64_t watermark, Lane&) {
  queue_.push_back({std::nullopt, watermark});
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
  taken_watermark_ = queue_.front().watermark;
  std::optional<RecordBatch> batch = std::move(queue_.front().batch);
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
  is_taken_ = false;
  OperatorMetrics::add(metrics_.busy_ns, monotonic_ns() - taken_at_ns_);
  for (RecordBatch& batch : outputs) {
    if (batch.num_rows > 0) outbox_.push_back({std::move(batch), taken_watermark_});
  }
  move_watermarks();
}

void PythonStageOperator::drain(Lane& lane) {
  Operator* caller = lane.enter(this);
  for (Entry& entry : std::exchange(outbox_, {})) {
    if (!entry.batch) {
      forward_watermark(entry.watermark, lane);
      continue;
    }
    windows::RowWatermarks watermarks;
    watermarks.all = entry.watermark;
    watermarks.first_arrival = arrivals_;
    arrivals_ += entry.batch->num_rows;
    emit(0, {std::move(*entry.batch), std::move(watermarks)}, lane);
  }
  lane.leave(caller);
}

}  // namespace pystream::runtime
