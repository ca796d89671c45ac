#include "runtime/count_window_operator.hpp"

#include <utility>

namespace pystream::runtime {

namespace {

windows::CountAggregationSpec shifted(windows::CountAggregationSpec spec,
                                      const WindowInput& input) {
  spec.event_time_column = input.event_time_column();
  return spec;
}

}  // namespace

CountWindowOperator::CountWindowOperator(std::string name, WindowInput::Plan input,
                                         windows::CountAggregationSpec aggregation)
    : OrderedOperator(std::move(name), "count window"),
      input_(std::move(input)),
      aggregation_(shifted(std::move(aggregation), input_), input_.schema()) {}

void CountWindowOperator::deliver(Rows&& rows, Lane& lane) {
  aggregation_.add(input_.shifted(rows.batch), rows.watermarks,
                   [&](RecordBatch&& result, windows::RowWatermarks&& watermarks) {
                     watermarks.first_arrival = arrivals_;
                     arrivals_ += result.num_rows;
                     emit(0, {std::move(result), std::move(watermarks)}, lane);
                   });
}

}  // namespace pystream::runtime
