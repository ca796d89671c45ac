#include "runtime/session_operator.hpp"

#include <utility>

namespace pystream::runtime {

SessionOperator::SessionOperator(std::string name, WindowInput::Plan input_plan,
                                 const windows::SessionAggregationSpec& aggregation)
    : OrderedWindowOperator(std::move(name), "session window", std::move(input_plan)),
      aggregation_(input().with_event_time(aggregation), input().schema()) {}

windows::SessionAggregation::Emit SessionOperator::emit_to(Lane& lane) {
  return [this, &lane](RecordBatch&& result, windows::RowWatermarks&& watermarks) {
    emit_result(std::move(result), std::move(watermarks), lane);
  };
}

int64_t SessionOperator::add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
                             std::vector<int32_t>* late, Lane& lane) {
  return aggregation_.add(rows, watermarks, late, emit_to(lane));
}

void SessionOperator::on_watermark(int64_t watermark, Lane& lane) {
  aggregation_.advance(watermark, emit_to(lane));
}

}  // namespace pystream::runtime
