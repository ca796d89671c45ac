#include "columns/row_builder.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <string>

#include "base/error.hpp"

namespace pystream {

namespace {

constexpr int64_t kFirstCapacity = 64;

template <typename T>
void put(MutableBuffer* buffer, int64_t row, T value) {
  buffer->as<T>()[row] = value;
}

// Makes room for `size` bytes; those that are new are zero.
void resize_zeroed(MutableBuffer* buffer, int64_t size) {
  const int64_t had = buffer->size();
  buffer->resize(size);
  std::memset(buffer->data() + had, 0, static_cast<size_t>(size - had));
}

}  // namespace

RowBuilder::RowBuilder(const std::vector<DataType>& types) {
  for (const DataType& type : types) {
    assert(!type.is_list());
    Column column;
    column.type = type;
    column.store = store_of(type);
    row_width_ += column.store == Store::kVar ? int64_t{sizeof(int32_t)} : type.byte_width();
    columns_.push_back(std::move(column));
  }
}

RowBuilder::Store RowBuilder::store_of(const DataType& type) {
  if (type.is_var_binary()) return Store::kVar;
  if (type.is_bool()) return Store::kBit;
  if (type.id == TypeId::kFloat32) return Store::kFloat;
  if (type.id == TypeId::kFloat64) return Store::kDouble;
  switch (type.byte_width()) {
    case 1:
      return Store::k1;
    case 2:
      return Store::k2;
    case 4:
      return Store::k4;
    case 8:
      return Store::k8;
    default:
      return Store::k16;
  }
}

void RowBuilder::append(const Cell* cells) {
  // All that may throw comes before the first change that counts.
  if (rows_ == capacity_) grow();
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    if (column.store == Store::kVar && !cells[i].is_null) reserve_bytes(&column, cells[i]);
    if (cells[i].is_null && column.validity.size() == 0) {
      resize_zeroed(&column.validity, bitmap_bytes(capacity_));
      fill_bits(column.validity.data(), 0, rows_);
    }
  }
  for (size_t i = 0; i < columns_.size(); ++i) store(&columns_[i], cells[i]);
  ++rows_;
}

void RowBuilder::grow() {
  const int64_t capacity = std::max(kFirstCapacity, 2 * capacity_);
  for (Column& column : columns_) {
    if (column.store == Store::kBit) {
      resize_zeroed(&column.values, bitmap_bytes(capacity));
    } else if (column.store == Store::kVar) {
      column.offsets.resize((capacity + 1) * int64_t{sizeof(int32_t)});
      if (rows_ == 0) put<int32_t>(&column.offsets, 0, 0);
    } else {
      column.values.resize(capacity * column.type.byte_width());
    }
    if (column.validity.size() > 0) resize_zeroed(&column.validity, bitmap_bytes(capacity));
  }
  capacity_ = capacity;
}

void RowBuilder::reserve_bytes(Column* column, const Cell& cell) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const int64_t end = column->values.size() + cell.size;
  if (end > kMaxBytes) {
    throw Error(ErrorCode::kRecordTooLarge,
                "a " + column->type.to_string() + " column of one batch would pass " +
                    std::to_string(kMaxBytes) + " bytes with a value of " +
                    std::to_string(cell.size) + " bytes. Use smaller batches.",
                {{"size", end}, {"limit", kMaxBytes}});
  }
  column->values.reserve(end);
}

void RowBuilder::set_null(Column* column) {
  ++column->null_count;
  switch (column->store) {
    case Store::kBit:
      return;
    case Store::kVar:
      put<int32_t>(&column->offsets, rows_ + 1, column->offsets.as<int32_t>()[rows_]);
      return;
    default: {
      const auto width = static_cast<size_t>(column->type.byte_width());
      std::memset(column->values.data() + rows_ * static_cast<int64_t>(width), 0, width);
    }
  }
}

void RowBuilder::store(Column* column, const Cell& cell) {
  if (cell.is_null) return set_null(column);
  if (column->validity.size() > 0) set_bit(column->validity.data(), rows_);
  MutableBuffer* values = &column->values;
  switch (column->store) {
    case Store::kBit:
      if (cell.integer != 0) set_bit(values->data(), rows_);
      return;
    case Store::k1:
      return put(values, rows_, static_cast<uint8_t>(cell.integer));
    case Store::k2:
      return put(values, rows_, static_cast<uint16_t>(cell.integer));
    case Store::k4:
      return put(values, rows_, static_cast<uint32_t>(cell.integer));
    case Store::k8:
      return put(values, rows_, cell.integer);
    case Store::k16:
      put(values, 2 * rows_, cell.integer);
      return put(values, 2 * rows_ + 1, cell.high);
    case Store::kFloat:
      return put(values, rows_, static_cast<float>(cell.real));
    case Store::kDouble:
      return put(values, rows_, cell.real);
    case Store::kVar:
      values->append(cell.data, cell.size);
      var_bytes_ += cell.size;
      put<int32_t>(&column->offsets, rows_ + 1, static_cast<int32_t>(values->size()));
  }
}

std::vector<Array> RowBuilder::finish() {
  std::vector<Array> arrays;
  arrays.reserve(columns_.size());
  for (Column& column : columns_) arrays.push_back(finish_column(&column));
  rows_ = 0;
  capacity_ = 0;
  var_bytes_ = 0;
  return arrays;
}

Array RowBuilder::finish_column(Column* column) {
  Array array;
  array.type = column->type;
  array.length = rows_;
  array.null_count = column->null_count;
  if (column->store == Store::kVar) {
    column->offsets.resize((rows_ + 1) * int64_t{sizeof(int32_t)});
    if (rows_ == 0) put<int32_t>(&column->offsets, 0, 0);
    array.offsets = column->offsets.freeze();
  } else if (column->store == Store::kBit) {
    column->values.resize(bitmap_bytes(rows_));
  } else {
    column->values.resize(rows_ * column->type.byte_width());
  }
  array.values = column->values.freeze();
  if (column->null_count > 0) {
    column->validity.resize(bitmap_bytes(rows_));
    array.validity = column->validity.freeze();
  }
  column->null_count = 0;
  return array;
}

}  // namespace pystream
