#include "runtime/window_input.hpp"

#include <utility>

#include "runtime/stateless_operators.hpp"

namespace pystream::runtime {

namespace {

// The input's schema and a last column for the shifted event time.
SchemaPtr shifted_schema(const WindowInput::Plan& plan) {
  if (plan.event_time_offset == 0) return nullptr;
  auto schema = std::make_shared<Schema>(*plan.schema);
  Field time = schema->fields[static_cast<size_t>(plan.event_time_column)];
  time.name = "event time of " + time.name;
  schema->fields.push_back(std::move(time));
  return schema;
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

WindowInput::WindowInput(Plan plan) : plan_(std::move(plan)), shifted_(shifted_schema(plan_)) {}

RecordBatch WindowInput::shifted(const RecordBatch& batch) const {
  RecordBatch result = batch;
  if (!shifted_) return result;
  const Array& time = batch.columns[static_cast<size_t>(plan_.event_time_column)];
  result.columns.push_back(shift(time, plan_.event_time_offset));
  result.schema = shifted_;
  return result;
}

Rows WindowInput::late_rows(const Rows& rows, std::span<const int32_t> indices) const {
  const RecordBatch needed = select_columns(rows.batch, plan_.late_columns, plan_.late_schema);
  return take(rows, needed.take(indices), indices);
}

windows::RowWatermarks watermarks_of(Buffer&& per_row) {
  windows::RowWatermarks result;
  result.all = per_row.as<int64_t>()[0];
  result.per_row = std::move(per_row);
  return result;
}

}  // namespace pystream::runtime
