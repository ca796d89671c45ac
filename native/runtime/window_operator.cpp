#include "runtime/window_operator.hpp"

#include <utility>

#include "runtime/stateless_operators.hpp"
#include "runtime/watermark.hpp"

namespace pystream::runtime {

namespace {

// The input's schema and a last column for the shifted event time.
SchemaPtr shifted_schema(const WindowOperator::Plan& plan) {
  if (plan.event_time_offset == 0) return nullptr;
  auto schema = std::make_shared<Schema>(*plan.input);
  Field time = schema->fields[static_cast<size_t>(plan.aggregation.event_time_column)];
  time.name = "event time of " + time.name;
  schema->fields.push_back(std::move(time));
  return schema;
}

windows::WindowAggregationSpec shifted_spec(windows::WindowAggregationSpec spec,
                                            const SchemaPtr& shifted) {
  if (shifted) spec.event_time_column = shifted->size() - 1;
  return spec;
}

template <typename T>
void add_offset(const Array& time, int64_t offset, T* out) {
  const T* in = time.data<T>();
  for (int64_t row = 0; row < time.length; ++row) out[row] = static_cast<T>(in[row] + offset);
}

Array shift(const Array& column, int64_t offset) {
  Array shifted = decode_dictionary(column);
  MutableBuffer values(shifted.length * shifted.type.byte_width());
  if (shifted.type.byte_width() == 4) {
    add_offset(shifted, offset, values.as<int32_t>());
  } else {
    add_offset(shifted, offset, values.as<int64_t>());
  }
  shifted.values = values.freeze();
  return shifted;
}

}  // namespace

WindowOperator::WindowOperator(std::string name, Plan plan)
    : Operator(std::move(name), "window"),
      plan_(std::move(plan)),
      shifted_(shifted_schema(plan_)),
      aggregation_(shifted_spec(plan_.aggregation, shifted_), shifted_ ? shifted_ : plan_.input,
                   plan_.threads),
      window_end_column_(plan_.aggregation.key_columns.size() + 1) {}

bool WindowOperator::may_be_late(int64_t min_event_time, int64_t watermark) const {
  return aggregation_.may_be_late(min_event_time + plan_.event_time_offset, watermark);
}

void WindowOperator::process(Rows&& rows, Lane& lane) {
  RecordBatch batch = rows.batch;
  if (shifted_) {
    const Array& time = batch.columns[static_cast<size_t>(plan_.aggregation.event_time_column)];
    batch.columns.push_back(shift(time, plan_.event_time_offset));
    batch.schema = shifted_;
  }
  lane.indices.clear();
  aggregation_.add(lane.thread, batch, rows.watermarks, &lane.indices);
  if (!lane.indices.empty()) emit_late(rows, lane);
}

void WindowOperator::emit_late(const Rows& rows, Lane& lane) {
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(lane.indices.size()));
  if (!has_consumer(1)) return;
  const RecordBatch needed = select_columns(rows.batch, plan_.late_columns, plan_.late_schema);
  emit(1, {needed.take(lane.indices), take(rows.watermarks, lane.indices)}, lane);
}

void WindowOperator::on_watermark(int64_t watermark, Lane& lane) {
  aggregation_.advance(watermark,
                       [&](RecordBatch&& result) { emit_result(std::move(result), lane); });
}

// A result of window [s, e) exists from the first watermark >= e - 1 on. The rows below see the
// largest watermark before that, e - 2: a value that depends on the window alone, and not on which
// records happened to share a round with the one that closed it.
void WindowOperator::emit_result(RecordBatch&& result, Lane& lane) {
  if (result.num_rows == 0) return;
  const Array& end = result.columns[window_end_column_];
  const int64_t first =
      end.type.byte_width() == 4 ? end.data<int32_t>()[0] : end.data<int64_t>()[0];
  windows::RowWatermarks watermarks;
  watermarks.all = watermark_of(first, 1);
  watermarks.first_arrival = arrivals_;
  arrivals_ += result.num_rows;
  emit(0, {std::move(result), std::move(watermarks)}, lane);
}

}  // namespace pystream::runtime
