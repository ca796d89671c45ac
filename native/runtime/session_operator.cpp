#include "runtime/session_operator.hpp"

#include <utility>

namespace pystream::runtime {

namespace {

windows::SessionAggregationSpec shifted(windows::SessionAggregationSpec spec,
                                        const WindowInput& input) {
  spec.event_time_column = input.event_time_column();
  return spec;
}

}  // namespace

SessionOperator::SessionOperator(std::string name, WindowInput::Plan input,
                                 windows::SessionAggregationSpec aggregation)
    : OrderedOperator(std::move(name), "session window"),
      input_(std::move(input)),
      aggregation_(shifted(std::move(aggregation), input_), input_.schema()) {}

windows::SessionAggregation::Emit SessionOperator::emit_to(Lane& lane) {
  return [this, &lane](RecordBatch&& result, windows::RowWatermarks&& watermarks) {
    watermarks.first_arrival = arrivals_;
    arrivals_ += result.num_rows;
    emit(0, {std::move(result), std::move(watermarks)}, lane);
  };
}

void SessionOperator::deliver(Rows&& rows, Lane& lane) {
  late_.clear();
  const int64_t behind =
      aggregation_.add(input_.shifted(rows.batch), rows.watermarks, &late_, emit_to(lane));
  if (behind > 0) OperatorMetrics::add(metrics_.accepted_late_records, behind);
  if (late_.empty()) return;
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(late_.size()));
  if (has_consumer(1)) emit(1, input_.late_rows(rows, late_), lane);
}

void SessionOperator::on_watermark(int64_t watermark, Lane& lane) {
  aggregation_.advance(watermark, emit_to(lane));
}

}  // namespace pystream::runtime
