#pragma once
// What window operators do around their aggregation: they shift the event time of the rows that
// come in, and let those go that were late.
//
// Owned by one operator; immutable after construction, any thread.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/operator.hpp"

namespace pystream::runtime {

class WindowInput {
 public:
  struct Plan {
    SchemaPtr schema;
    int event_time_column = 0;
    int64_t event_time_offset = 0;  // ticks added before windows are assigned
    std::vector<int> late_columns;  // of the input, and their schema: what the late output needs
    SchemaPtr late_schema;
  };
  explicit WindowInput(Plan plan);

  // What the aggregation sees: the input, with the shifted event time as last column where there is
  // an offset.
  const SchemaPtr& schema() const { return shifted_ ? shifted_ : plan_.schema; }
  int event_time_column() const {
    return shifted_ ? shifted_->size() - 1 : plan_.event_time_column;
  }
  int64_t event_time_offset() const { return plan_.event_time_offset; }

  // The spec of an aggregation over that input.
  template <typename Spec>
  Spec with_event_time(Spec spec) const {
    spec.event_time_column = event_time_column();
    return spec;
  }

  RecordBatch shifted(const RecordBatch& batch) const;
  // The rows at `indices` as the late output shows them.
  Rows late_rows(const Rows& rows, std::span<const int32_t> indices) const;

 private:
  Plan plan_;
  SchemaPtr shifted_;  // null without an offset
};

// Of panes: the watermark that each of them, at least one, shows operators below.
windows::RowWatermarks watermarks_of(Buffer&& per_row);

}  // namespace pystream::runtime
