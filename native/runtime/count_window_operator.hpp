#pragma once
// A count aggregation in the graph: rows in, results out as soon as a window has its records.
// Serial, in append order. The second output, of late rows, has none.

#include <string>

#include "runtime/operator.hpp"
#include "runtime/window_input.hpp"
#include "windows/count_aggregation.hpp"

namespace pystream::runtime {

class CountWindowOperator final : public OrderedOperator {
 public:
  // `aggregation`: by index of the actual input.
  CountWindowOperator(std::string name, WindowInput::Plan input,
                      windows::CountAggregationSpec aggregation);

  void deliver(Rows&& rows, Lane& lane) override;

 protected:
  void on_flush() override {
    OperatorMetrics::set(metrics_.state_bytes, aggregation_.state_bytes());
  }

 private:
  WindowInput input_;
  windows::CountAggregation aggregation_;
  int64_t arrivals_ = 0;  // rows emitted; state that is checkpointed
};

}  // namespace pystream::runtime
