#include "runtime/ordered_window_operator.hpp"

#include <utility>

namespace pystream::runtime {

void OrderedWindowOperator::deliver(Rows&& rows, Lane& lane) {
  late_.clear();
  const int64_t behind = add(input_.shifted(rows.batch), rows.watermarks, &late_, lane);
  if (behind > 0) OperatorMetrics::add(metrics_.accepted_late_records, behind);
  if (late_.empty()) return;
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(late_.size()));
  if (has_consumer(1)) emit(1, input_.late_rows(rows, late_), lane);
}

void OrderedWindowOperator::emit_result(RecordBatch&& result, windows::RowWatermarks&& watermarks,
                                        Lane& lane) {
  watermarks.first_arrival = arrivals_;
  arrivals_ += result.num_rows;
  const int64_t rows = result.num_rows;
  if (is_fired_by_watermark()) watermarks = in_force(std::move(watermarks), rows, lane);
  emit(0, {std::move(result), std::move(watermarks)}, lane);
}

}  // namespace pystream::runtime
