#pragma once
// A session aggregation in the graph: results leave when the watermark closes sessions.

#include <optional>
#include <string>
#include <vector>

#include "runtime/ordered_window_operator.hpp"
#include "windows/session_aggregation.hpp"

namespace pystream::runtime {

class SessionOperator final : public OrderedWindowOperator {
 public:
  // `aggregation`: by index of the actual input.
  SessionOperator(std::string name, WindowInput::Plan input,
                  const windows::SessionAggregationSpec& aggregation);

  std::optional<int64_t> next_timer() const override { return aggregation_.next_timer(); }

 protected:
  int64_t add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
              std::vector<int32_t>* late, Lane& lane) override;
  int64_t state_bytes() const override { return aggregation_.state_bytes(); }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }
  void on_watermark(int64_t watermark, Lane& lane) override;

 private:
  windows::SessionAggregation::Emit emit_to(Lane& lane);

  windows::SessionAggregation aggregation_;
};

}  // namespace pystream::runtime
