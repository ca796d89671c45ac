#include "runtime/ordered_window_operator.hpp"

#include <utility>

#include "runtime/stateless_operators.hpp"

namespace pystream::runtime {

void OrderedWindowOperator::deliver(Rows&& rows, Lane& lane) {
  if (!needs_positions()) {
    add(rows, lane);
    return;
  }
  // One by one: what its watermark fires stands where that one was passed, its own panes behind it.
  for (int32_t row = 0; row < rows.batch.num_rows; ++row) {
    const Rows one = take(rows, rows.batch.slice(row, 1), {&row, 1});
    const windows::RowWatermarks& seen = one.watermarks;
    on_watermark(seen.per_row ? seen.per_row.as<int64_t>()[0] : seen.all, lane);
    own_position_ = one.positions.as<int64_t>()[0] + 1;
    add(one, lane);
    own_position_.reset();
  }
}

void OrderedWindowOperator::write_state(state::StateWriter* writer) {
  snapshot(writer);
  writer->set_fact(kRowsEmitted, arrivals_);
}

void OrderedWindowOperator::read_state(const state::StateReader& reader,
                                       state::KeyGroupRange range) {
  restore(reader, range);
  arrivals_ = reader.highest_fact(kRowsEmitted);
}

void OrderedWindowOperator::add(const Rows& rows, Lane& lane) {
  late_.clear();
  const int64_t behind = add(input_.shifted(rows.batch), rows.watermarks, &late_, lane);
  if (behind > 0) OperatorMetrics::add(metrics_.accepted_late_records, behind);
  if (late_.empty()) return;
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(late_.size()));
  if (has_consumer(1)) emit(1, input_.late_rows(rows, late_), lane);
}

void OrderedWindowOperator::emit_result(RecordBatch&& result, windows::RowWatermarks&& watermarks,
                                        Lane& lane) {
  lane.check_stop();
  watermarks.first_arrival = arrivals_;
  arrivals_ += result.num_rows;
  const int64_t rows = result.num_rows;
  if (is_fired_by_watermark()) watermarks = in_force(std::move(watermarks), rows);
  lane.position = own_position_;
  emit(0, {std::move(result), std::move(watermarks)}, lane);
}

}  // namespace pystream::runtime
