#include "runtime/count_window_operator.hpp"

#include <utility>

namespace pystream::runtime {

CountWindowOperator::CountWindowOperator(std::string name, WindowInput::Plan input_plan,
                                         const windows::CountAggregationSpec& aggregation)
    : OrderedWindowOperator(std::move(name), "count window", std::move(input_plan)),
      aggregation_(input().with_event_time(aggregation), input().schema()) {}

int64_t CountWindowOperator::add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
                                 std::vector<int32_t>* /*late*/, Lane& lane) {
  aggregation_.add(rows, watermarks, [&](RecordBatch&& result, windows::RowWatermarks&& in_force) {
    emit_result(std::move(result), std::move(in_force), lane);
  });
  return 0;
}

}  // namespace pystream::runtime
