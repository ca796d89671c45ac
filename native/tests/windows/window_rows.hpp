#pragma once
// Test support: batches of (key, time, value) rows, and results as rows.

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "columns/builder.hpp"
#include "columns/record_batch.hpp"
#include "windows/value_text.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

template <typename T>
Array make_column(DataType type, const std::vector<std::optional<T>>& values) {
  FixedBuilder<T> builder(std::move(type));
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

inline Array make_strings(const std::vector<std::optional<std::string>>& values,
                          TypeId id = TypeId::kString) {
  VarBinaryBuilder builder(DataType::of(id));
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

inline Array make_encoded(const Array& dictionary,
                          const std::vector<std::optional<int32_t>>& codes) {
  Array array = make_column<int32_t>(DataType::of(TypeId::kInt32), codes);
  array.type = dictionary.type;
  array.dictionary = std::make_shared<const Array>(dictionary);
  return array;
}

inline RecordBatch make_batch(const std::vector<std::pair<std::string, Array>>& columns) {
  auto schema = std::make_shared<Schema>();
  RecordBatch batch;
  for (const auto& [name, column] : columns) {
    schema->fields.push_back({name, column.type, true});
    batch.columns.push_back(column);
    batch.num_rows = column.length;
  }
  batch.schema = schema;
  return batch;
}

// All rows of a batch as text, one vector per row.
inline std::vector<std::vector<std::string>> rows_of(const RecordBatch& batch) {
  std::vector<std::vector<std::string>> rows(static_cast<size_t>(batch.num_rows));
  for (const Array& column : batch.columns) {
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      rows[static_cast<size_t>(i)].push_back(value_text(column, i));
    }
  }
  return rows;
}

using Rows = std::vector<std::vector<std::string>>;

// An aggregation with its emitted rows, in order.
class Harness {
 public:
  Harness(const WindowAggregationSpec& spec, SchemaPtr input, int threads = 1)
      : aggregation(spec, std::move(input), threads) {}

  void add(const RecordBatch& batch, int64_t watermark = kMinWatermark, int thread = 0) {
    RowWatermarks watermarks;
    watermarks.all = watermark;
    take(batch, watermarks, thread);
  }
  void add(const RecordBatch& batch, const std::vector<int64_t>& per_row, int thread = 0) {
    RowWatermarks watermarks;
    MutableBuffer buffer;
    buffer.append(per_row.data(), static_cast<int64_t>(per_row.size() * sizeof(int64_t)));
    watermarks.per_row = buffer.freeze();
    take(batch, watermarks, thread);
  }
  void take(const RecordBatch& batch, const RowWatermarks& watermarks, int thread) {
    std::vector<int32_t> behind;
    aggregation.add(thread, batch, watermarks, &late, &behind);
    if (behind.empty()) return;
    RowWatermarks taken;
    MutableBuffer buffer;
    for (const int32_t row : behind) {
      const int64_t watermark =
          watermarks.per_row ? watermarks.per_row.as<int64_t>()[row] : watermarks.all;
      buffer.append(&watermark, sizeof(watermark));
    }
    taken.per_row = buffer.freeze();
    behind_.push_back({batch.take(behind), std::move(taken)});
  }
  // The rows that add() has left for add_behind(): what they emit, in order.
  Rows add_behind() {
    Rows rows;
    const auto collect = [&](RecordBatch&& batch) {
      EXPECT_EQ(*batch.schema, *aggregation.output_schema());
      for (auto& row : rows_of(batch)) rows.push_back(std::move(row));
    };
    for (const auto& [batch, watermarks] : behind_) {
      aggregation.add_behind(batch, watermarks, collect, [&](RecordBatch&& panes, Buffer&& seen) {
        EXPECT_EQ(seen.size, panes.num_rows * 8);
        collect(std::move(panes));
      });
    }
    behind_.clear();
    return rows;
  }
  // The rows that advancing emits.
  Rows advance(int64_t watermark) {
    Rows rows;
    aggregation.advance(watermark, [&](RecordBatch&& batch) {
      EXPECT_LE(batch.num_rows, 65536);
      EXPECT_EQ(*batch.schema, *aggregation.output_schema());
      for (auto& row : rows_of(batch)) rows.push_back(std::move(row));
    });
    return rows;
  }

  WindowAggregation aggregation;
  std::vector<int32_t> late;

 private:
  std::vector<std::pair<RecordBatch, RowWatermarks>> behind_;
};

}  // namespace pystream::windows
