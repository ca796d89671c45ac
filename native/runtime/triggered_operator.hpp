#pragma once
// Windows with a trigger in the graph: rows in, panes out, rows that entered no window out at the
// second output. Serial, in append order.

#include <string>
#include <vector>

#include "runtime/operator.hpp"
#include "runtime/window_input.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::runtime {

class TriggeredOperator final : public OrderedOperator {
 public:
  // `aggregation`: by index of the actual input.
  TriggeredOperator(std::string name, WindowInput::Plan input,
                    windows::WindowAggregationSpec aggregation);

  void deliver(Rows&& rows, Lane& lane) override;

 protected:
  void on_watermark(int64_t watermark, Lane& lane) override;
  // Also where no watermark moves.
  void on_flush() override {
    OperatorMetrics::set(metrics_.state_bytes, aggregation_.state_bytes());
  }

 private:
  windows::EmitPanes emit_to(Lane& lane);

  WindowInput input_;
  windows::TriggeredAggregation aggregation_;
  int64_t arrivals_ = 0;       // rows emitted; state that is checkpointed
  std::vector<int32_t> late_;  // scratch: what is emitted meanwhile uses that of the lane
};

}  // namespace pystream::runtime
