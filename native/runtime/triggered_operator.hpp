#pragma once
// Windows with a trigger in the graph: rows in, panes out.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ordered_window_operator.hpp"

namespace pystream::runtime {

// Aggregation: TriggeredAggregation or PaneAggregation.
template <typename Aggregation>
class TriggeredOperator final : public OrderedWindowOperator {
 public:
  // `spec`: by index of the actual input.
  template <typename Spec>
  TriggeredOperator(std::string name, const char* kind, WindowInput::Plan input_plan,
                    const Spec& spec)
      : OrderedWindowOperator(std::move(name), kind, std::move(input_plan)),
        aggregation_(input().with_event_time(spec), input().schema()) {}

  std::optional<int64_t> next_timer() const override { return aggregation_.next_timer(); }
  void set_stop(StopSignal* stop) override { aggregation_.set_stop(stop); }

 protected:
  int64_t add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
              std::vector<int32_t>* late, Lane& lane) override {
    return aggregation_.add(rows, watermarks, late, emit_to(lane));
  }
  int64_t state_bytes() const override { return aggregation_.state_bytes(); }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }
  void on_watermark(int64_t watermark, Lane& lane) override {
    aggregation_.advance(watermark, emit_to(lane));
  }

 private:
  windows::EmitPanes emit_to(Lane& lane) {
    return [this, &lane](RecordBatch&& panes, Buffer&& in_force) {
      emit_result(std::move(panes), watermarks_of(std::move(in_force)), lane);
    };
  }

  Aggregation aggregation_;
};

}  // namespace pystream::runtime
