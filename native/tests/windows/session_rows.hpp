#pragma once
// Test support: a session aggregation with its emitted rows, in order.

#include <string>
#include <utility>
#include <vector>

#include "window_rows.hpp"
#include "windows/session_aggregation.hpp"

namespace pystream::windows {

class SessionHarness {
 public:
  SessionHarness(const SessionAggregationSpec& spec, SchemaPtr input)
      : aggregation(spec, std::move(input)) {}

  // Rows as (key, time, value), each with the watermark in force; the rows that this emits.
  Rows add(const RecordBatch& batch, const std::vector<int64_t>& watermarks) {
    RowWatermarks in_force;
    MutableBuffer buffer;
    buffer.append(watermarks.data(), static_cast<int64_t>(watermarks.size() * sizeof(int64_t)));
    in_force.per_row = buffer.freeze();
    Rows rows;
    late.clear();
    aggregation.add(batch, in_force, &late, collect(&rows));
    return rows;
  }
  Rows add(const RecordBatch& batch, int64_t watermark = kMinWatermark) {
    return add(batch, std::vector<int64_t>(static_cast<size_t>(batch.num_rows), watermark));
  }
  // The rows that advancing emits.
  Rows advance(int64_t watermark) {
    Rows rows;
    aggregation.advance(watermark, collect(&rows));
    return rows;
  }

  SessionAggregation aggregation;
  std::vector<int32_t> late;                // of the last add()
  std::vector<int64_t> watermarks_of_rows;  // that rows below see, of everything emitted

 private:
  SessionAggregation::Emit collect(Rows* rows) {
    return [this, rows](RecordBatch&& batch, RowWatermarks&& watermarks) {
      EXPECT_LE(batch.num_rows, 65536);
      EXPECT_EQ(*batch.schema, *aggregation.output_schema());
      for (auto& row : rows_of(batch)) rows->push_back(std::move(row));
      for (int64_t i = 0; i < batch.num_rows; ++i) {
        watermarks_of_rows.push_back(watermarks.per_row ? watermarks.per_row.as<int64_t>()[i]
                                                        : watermarks.all);
      }
    };
  }
};

}  // namespace pystream::windows
