#pragma once
// The part of encoding single records that needs no Python: how each column takes values, which
// partition a row belongs to, and the batch that rows are collected in.

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "columns/record_batch.hpp"
#include "columns/row_builder.hpp"
#include "storage/partitioner.hpp"
#include "storage/sequence_tracker.hpp"

namespace pystream::python {

using storage::partition_of_sequence;
using storage::SequenceTracker;

// Which Python values a column takes.
enum ValueKind : int {
  kBoolValue,
  kIntegerValue,
  kUnsignedValue,  // uint64, which int64 cannot hold
  kRealValue,
  kTimestampValue,
  kDateValue,
  kDurationValue,
  kDecimalValue,
  kStringValue,
  kBinaryValue,
};

struct ColumnSpec {
  ValueKind kind = kIntegerValue;
  bool is_nullable = true;
  bool is_zoned = false;   // timestamp with a time zone
  bool is_single = false;  // float32
  int precision = 0;
  int scale = 0;
  int64_t ticks_per_second = 1;
  int64_t minimum = std::numeric_limits<int64_t>::min();
  int64_t maximum = std::numeric_limits<int64_t>::max();
};

inline ColumnSpec column_spec(const Field& field) {
  ColumnSpec spec;
  const DataType& type = field.type;
  spec.is_nullable = field.nullable;
  switch (type.id) {
    case TypeId::kBool:
      spec.kind = kBoolValue;
      break;
    case TypeId::kUInt64:
      spec.kind = kUnsignedValue;
      break;
    case TypeId::kFloat32:
      spec.is_single = true;
      [[fallthrough]];
    case TypeId::kFloat64:
      spec.kind = kRealValue;
      break;
    case TypeId::kDecimal128:
      spec.kind = kDecimalValue;
      spec.precision = type.precision;
      spec.scale = type.scale;
      break;
    case TypeId::kTimestamp:
      spec.kind = kTimestampValue;
      spec.is_zoned = !type.timezone.empty();
      spec.ticks_per_second = ticks_per_second(type.unit);
      break;
    case TypeId::kDuration:
      spec.kind = kDurationValue;
      spec.ticks_per_second = ticks_per_second(type.unit);
      break;
    case TypeId::kDate32:
      spec.kind = kDateValue;
      spec.minimum = std::numeric_limits<int32_t>::min();
      spec.maximum = std::numeric_limits<int32_t>::max();
      break;
    case TypeId::kString:
      spec.kind = kStringValue;
      break;
    case TypeId::kBinary:
      spec.kind = kBinaryValue;
      break;
    default: {
      const int bits = 8 * type.byte_width();
      if (bits == 64) break;
      const bool is_signed = type.is_signed_integer();
      spec.minimum = is_signed ? -(int64_t{1} << (bits - 1)) : 0;
      spec.maximum = (int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
    }
  }
  return spec;
}

inline int64_t wall_clock_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

inline int64_t steady_clock_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
inline int64_t days_from_civil(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  return std::chrono::sys_days(date).time_since_epoch().count();
}

// The columns of a topic and its key. Immutable.
class TopicLayout {
 public:
  TopicLayout(const char* schema_blob, size_t length, std::vector<int> key_columns)
      : schema_(std::make_shared<const Schema>(
            Schema::deserialize({reinterpret_cast<const uint8_t*>(schema_blob), length}))),
        key_columns_(std::move(key_columns)) {
    for (const Field& field : schema_->fields) columns_.push_back(column_spec(field));
  }

  const SchemaPtr& schema() const { return schema_; }
  const std::vector<ColumnSpec>& columns() const { return columns_; }
  int column_count() const { return schema_->size(); }

  // The partition of a row by its key; -1 when it has none.
  int32_t partition_of(const Cell* cells, int32_t partitions) const {
    if (key_columns_.empty()) return -1;
    if (key_columns_.size() > 1) return partition_of_parts(cells, partitions);
    const auto index = static_cast<size_t>(key_columns_[0]);
    const Cell& cell = cells[index];
    if (cell.is_null) return -1;
    const DataType& type = schema_->fields[index].type;
    if (type.is_var_binary()) {
      return storage::partition_of_key({cell.data, static_cast<size_t>(cell.size)}, partitions);
    }
    std::string key;
    storage::append_key_bytes(type, cell, &key);
    return storage::partition_of_key(key, partitions);
  }

 private:
  int32_t partition_of_parts(const Cell* cells, int32_t partitions) const {
    std::string key;
    std::string part;
    for (const int column : key_columns_) {
      const auto index = static_cast<size_t>(column);
      if (cells[index].is_null) {
        storage::append_key_part(std::nullopt, &key);
        continue;
      }
      part.clear();
      storage::append_key_bytes(schema_->fields[index].type, cells[index], &part);
      storage::append_key_part(std::string_view(part), &key);
    }
    return storage::partition_of_key(key, partitions);
  }

  SchemaPtr schema_;
  std::vector<ColumnSpec> columns_;
  std::vector<int> key_columns_;
};

// Rows of one partition that are not appended yet. Beside the topic's columns a row has two more
// cells: its timestamp in microseconds, and its encoded headers or null; and a third one, its
// sequence, when its producer has a name.
class OpenBatch {
 public:
  OpenBatch(const TopicLayout& layout, bool has_sequences)
      : schema_(layout.schema()), builder_(types(*layout.schema(), has_sequences)) {}

  void append(const Cell* cells) { builder_.append(cells); }
  int64_t rows() const { return builder_.rows(); }
  int64_t bytes() const { return builder_.bytes(); }

  // Hands out the topic's columns, and timestamps, headers and sequences; the batch is empty
  // afterwards.
  void take(RecordBatch* columns, RecordBatch* builtin) {
    const int64_t rows = builder_.rows();
    std::vector<Array> arrays = builder_.finish();
    const auto own = static_cast<size_t>(schema_->size());
    std::vector<Array> last(std::make_move_iterator(arrays.begin() + schema_->size()),
                            std::make_move_iterator(arrays.end()));
    arrays.resize(own);
    Schema schema;
    schema.fields = {{"timestamp", last[0].type, false}, {"headers", last[1].type, true}};
    if (last.size() > 2) schema.fields.push_back({"sequence", last[2].type, false});
    *columns = {schema_, rows, std::move(arrays)};
    *builtin = {std::make_shared<const Schema>(std::move(schema)), rows, std::move(last)};
  }

 private:
  static std::vector<DataType> types(const Schema& schema, bool has_sequences) {
    std::vector<DataType> types;
    for (const Field& field : schema.fields) types.push_back(field.type);
    types.push_back(DataType::of(TypeId::kInt64));
    types.push_back(DataType::of(TypeId::kBinary));
    if (has_sequences) types.push_back(DataType::of(TypeId::kInt64));
    return types;
  }

  SchemaPtr schema_;
  RowBuilder builder_;
};

}  // namespace pystream::python
