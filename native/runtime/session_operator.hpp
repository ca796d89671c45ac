#pragma once
// A session aggregation in the graph: rows in, results out when the watermark closes sessions, rows
// that entered no session out at the second output. Serial, in append order.

#include <string>
#include <vector>

#include "runtime/operator.hpp"
#include "runtime/window_input.hpp"
#include "windows/session_aggregation.hpp"

namespace pystream::runtime {

class SessionOperator final : public OrderedOperator {
 public:
  // `aggregation`: by index of the actual input.
  SessionOperator(std::string name, WindowInput::Plan input,
                  windows::SessionAggregationSpec aggregation);

  void deliver(Rows&& rows, Lane& lane) override;

 protected:
  void on_watermark(int64_t watermark, Lane& lane) override;
  // Also where no watermark moves.
  void on_flush() override {
    OperatorMetrics::set(metrics_.state_bytes, aggregation_.state_bytes());
  }

 private:
  windows::SessionAggregation::Emit emit_to(Lane& lane);

  WindowInput input_;
  windows::SessionAggregation aggregation_;
  int64_t arrivals_ = 0;       // rows emitted; state that is checkpointed
  std::vector<int32_t> late_;  // scratch: what is emitted meanwhile uses that of the lane
};

}  // namespace pystream::runtime
