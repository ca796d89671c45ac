#pragma once
// A count aggregation in the graph: results leave as soon as a window has its records. The second
// output, of late rows, has none.

#include <string>
#include <vector>

#include "runtime/ordered_window_operator.hpp"
#include "windows/count_aggregation.hpp"

namespace pystream::runtime {

class CountWindowOperator final : public OrderedWindowOperator {
 public:
  // `aggregation`: by index of the actual input.
  CountWindowOperator(std::string name, WindowInput::Plan input,
                      const windows::CountAggregationSpec& aggregation);

 protected:
  int64_t add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
              std::vector<int32_t>* late, Lane& lane) override;
  int64_t state_bytes() const override { return aggregation_.state_bytes(); }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }
  bool is_fired_by_watermark() const override { return false; }

 private:
  windows::CountAggregation aggregation_;
};

}  // namespace pystream::runtime
