#pragma once
// Windows with a trigger in the graph: rows in, panes out.

#include <string>
#include <vector>

#include "runtime/ordered_window_operator.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::runtime {

class TriggeredOperator final : public OrderedWindowOperator {
 public:
  // `aggregation`: by index of the actual input.
  TriggeredOperator(std::string name, WindowInput::Plan input,
                    const windows::WindowAggregationSpec& aggregation);

 protected:
  int64_t add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
              std::vector<int32_t>* late, Lane& lane) override;
  int64_t state_bytes() const override { return aggregation_.state_bytes(); }
  void on_watermark(int64_t watermark, Lane& lane) override;

 private:
  windows::EmitPanes emit_to(Lane& lane);

  windows::TriggeredAggregation aggregation_;
};

}  // namespace pystream::runtime
