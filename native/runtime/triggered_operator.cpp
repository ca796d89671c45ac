#include "runtime/triggered_operator.hpp"

#include <utility>

namespace pystream::runtime {

TriggeredOperator::TriggeredOperator(std::string name, WindowInput::Plan input_plan,
                                     const windows::WindowAggregationSpec& aggregation)
    : OrderedWindowOperator(std::move(name), "window", std::move(input_plan)),
      aggregation_(input().with_event_time(aggregation), input().schema()) {}

windows::EmitPanes TriggeredOperator::emit_to(Lane& lane) {
  return [this, &lane](RecordBatch&& panes, Buffer&& in_force) {
    emit_result(std::move(panes), watermarks_of(std::move(in_force)), lane);
  };
}

int64_t TriggeredOperator::add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
                               std::vector<int32_t>* late, Lane& lane) {
  return aggregation_.add(rows, watermarks, late, emit_to(lane));
}

void TriggeredOperator::on_watermark(int64_t watermark, Lane& lane) {
  aggregation_.advance(watermark, emit_to(lane));
}

}  // namespace pystream::runtime
