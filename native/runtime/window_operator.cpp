#include "runtime/window_operator.hpp"

#include <utility>

#include "runtime/stateless_operators.hpp"
#include "runtime/watermark.hpp"

namespace pystream::runtime {

WindowOperator::WindowOperator(std::string name, WindowInput::Plan input,
                               const windows::WindowAggregationSpec& aggregation, int threads)
    : Operator(std::move(name), "window"),
      input_(std::move(input)),
      aggregation_(input_.with_event_time(aggregation), input_.schema(), threads),
      behind_(this),
      window_end_column_(aggregation.key_columns.size() + 1) {}

bool WindowOperator::may_be_late(int64_t min_event_time, int64_t watermark) const {
  return aggregation_.may_be_late(min_event_time + input_.event_time_offset(), watermark);
}

void WindowOperator::write_state(state::StateWriter* writer) {
  aggregation_.snapshot(writer);
  writer->set_fact(kRowsEmitted, arrivals_);
}

void WindowOperator::read_state(const state::StateReader& reader, state::KeyGroupRange range) {
  aggregation_.restore(reader, range);
  arrivals_ = reader.highest_fact(kRowsEmitted);
}

void WindowOperator::process(Rows&& rows, Lane& lane) {
  lane.indices.clear();
  const RecordBatch batch = input_.shifted(rows.batch);
  std::vector<int32_t> behind;
  aggregation_.add(lane.thread, batch, rows.watermarks, &lane.indices, &behind);
  if (!lane.indices.empty()) emit_late(rows, lane);
  if (behind.empty()) return;
  Rows taken = take(rows, batch.take(behind), behind);
  MutableBuffer arrivals(taken.batch.num_rows * static_cast<int64_t>(sizeof(int64_t)));
  for (size_t i = 0; i < behind.size(); ++i) {
    arrivals.as<int64_t>()[i] = rows.watermarks.first_arrival + behind[i];
  }
  taken.watermarks.arrivals = arrivals.freeze();
  behind_.push(std::move(taken), lane);
}

void WindowOperator::deliver_behind(const Rows& rows, Lane& lane) {
  OperatorMetrics::add(metrics_.accepted_late_records, rows.batch.num_rows);
  if (!rows.positions) {
    add_behind(rows, std::nullopt, lane);
    return;
  }
  // One by one, as each row's panes have a place of their own.
  for (int32_t row = 0; row < rows.batch.num_rows; ++row) {
    Rows one = take(rows, rows.batch.slice(row, 1), {&row, 1});
    one.watermarks.arrivals = rows.watermarks.arrivals.slice(row * 8, 8);
    add_behind(one, one.positions.as<int64_t>()[0] + 1, lane);
  }
}

// `position`: where the rows' own panes stand; those that the watermark fires stand by it.
void WindowOperator::add_behind(const Rows& rows, std::optional<int64_t> position, Lane& lane) {
  aggregation_.add_behind(
      rows.batch, rows.watermarks,
      [&](RecordBatch&& result) { emit_result(std::move(result), lane); },
      // Below, a pane comes when its row came here: operators see the watermark that the row saw.
      [&](RecordBatch&& panes, Buffer&& watermarks) {
        Rows out{std::move(panes), watermarks_of(std::move(watermarks))};
        out.watermarks.first_arrival = arrivals_;
        arrivals_ += out.batch.num_rows;
        lane.position = position;
        emit(0, std::move(out), lane);
      });
}

void WindowOperator::emit_late(const Rows& rows, Lane& lane) {
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(lane.indices.size()));
  if (!has_consumer(1)) return;
  emit(1, input_.late_rows(rows, lane.indices), lane);
}

void WindowOperator::on_watermark(int64_t watermark, Lane& lane) {
  aggregation_.advance(watermark,
                       [&](RecordBatch&& result) { emit_result(std::move(result), lane); });
}

// A result of window [s, e) exists from the first watermark >= e - 1 on. The rows below see the one
// before that: the last one up to e - 2.
void WindowOperator::emit_result(RecordBatch&& result, Lane& lane) {
  lane.check_stop();
  if (result.num_rows == 0) return;
  const Array& end = result.columns[window_end_column_];
  const int64_t first =
      end.type.byte_width() == 4 ? end.data<int32_t>()[0] : end.data<int64_t>()[0];
  windows::RowWatermarks watermarks;
  watermarks.all = watermark_of(first, 1);
  watermarks.first_arrival = arrivals_;
  const int64_t rows = result.num_rows;
  arrivals_ += rows;
  emit(0, {std::move(result), in_force(std::move(watermarks), rows)}, lane);
}

}  // namespace pystream::runtime
