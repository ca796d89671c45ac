#include "state/plain_table.hpp"

#include <memory>
#include <utility>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::state {

namespace detail {

template <>
Field field_of<int64_t>(const std::string& name) {
  return {name, DataType::of(TypeId::kInt64), false};
}

template <>
Field field_of<std::optional<int64_t>>(const std::string& name) {
  return {name, DataType::of(TypeId::kInt64), true};
}

template <>
Field field_of<bool>(const std::string& name) {
  return {name, DataType::of(TypeId::kBool), false};
}

template <>
Field field_of<std::string>(const std::string& name) {
  return {name, DataType::of(TypeId::kString), false};
}

Array column_of(const std::vector<int64_t>& values) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  for (const int64_t value : values) builder.append(value);
  return builder.finish();
}

Array column_of(const std::vector<std::optional<int64_t>>& values) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

Array column_of(const std::vector<bool>& values) {
  BitmapBuilder bits;
  for (const bool value : values) bits.append(value);
  Array column;
  column.type = DataType::of(TypeId::kBool);
  column.length = static_cast<int64_t>(values.size());
  column.values = bits.finish();
  return column;
}

Array column_of(const std::vector<std::string>& values) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const std::string& value : values) builder.append(value);
  return builder.finish();
}

void read_value(const Array& column, int64_t row, int64_t* out) {
  *out = column.data<int64_t>()[row];
}

void read_value(const Array& column, int64_t row, std::optional<int64_t>* out) {
  out->reset();
  if (column.is_valid(row)) *out = column.data<int64_t>()[row];
}

void read_value(const Array& column, int64_t row, bool* out) {
  *out = get_bit(column.values.data, row);
}

void read_value(const Array& column, int64_t row, std::string* out) { *out = column.view(row); }

}  // namespace detail

void PlainTableWriter::add(Field field, Array column) {
  rows_.num_rows = column.length;
  fields_.push_back(std::move(field));
  rows_.columns.push_back(std::move(column));
}

RecordBatch PlainTableWriter::finish() {
  rows_.schema = std::make_shared<Schema>(Schema{std::move(fields_)});
  return std::move(rows_);
}

const Array& PlainTableReader::find(const RecordBatch& batch, const Field& field) const {
  const int index = batch.schema->index_of(field.name);
  if (index >= 0) {
    const Array& column = batch.columns[static_cast<size_t>(index)];
    if (column.type == field.type && (field.nullable || column.null_count == 0)) return column;
  }
  throw Error(ErrorCode::kCheckpoint, "the table '" + name_ + "' of a snapshot has the columns " +
                                          batch.schema->to_string() + "; there has to be '" +
                                          field.name + "' " + field.type.to_string() +
                                          (field.nullable ? "" : " without nulls") +
                                          ". It was changed, or written by another release.");
}

}  // namespace pystream::state
