#pragma once
// What windows that need append order have in common around their aggregation: serial, rows in,
// results out, rows that entered no window out at the second output, and what is counted of them.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/operator.hpp"
#include "runtime/window_input.hpp"

namespace pystream::runtime {

class OrderedWindowOperator : public OrderedOperator {
 public:
  OrderedWindowOperator(std::string name, const char* kind, WindowInput::Plan input)
      : OrderedOperator(std::move(name), kind), input_(std::move(input)) {}

  void deliver(Rows&& rows, Lane& lane) final;
  bool reads_watermarks() const final { return true; }
  void write_state(state::StateWriter* writer) final;
  void read_state(const state::StateReader& reader, state::KeyGroupRange range) final;

 protected:
  // Adds rows to the aggregation. Those that entered no window are appended to `late` (indexes,
  // ascending). Returns how many came behind a window that had fired and entered one.
  virtual int64_t add(const RecordBatch& rows, const windows::RowWatermarks& watermarks,
                      std::vector<int32_t>* late, Lane& lane) = 0;
  virtual int64_t state_bytes() const = 0;
  // Of the aggregation.
  virtual void snapshot(state::StateWriter* writer) = 0;
  virtual void restore(const state::StateReader& reader, state::KeyGroupRange range) = 0;
  // Whether the watermark fires results, and not their last records alone.
  virtual bool is_fired_by_watermark() const { return true; }

  // Also where no watermark moves.
  void on_flush() final { OperatorMetrics::set(metrics_.state_bytes, state_bytes()); }

  // Result rows, numbered as they leave. Operators below see each at the last watermark up to the
  // one given.
  void emit_result(RecordBatch&& result, windows::RowWatermarks&& watermarks, Lane& lane);

  const WindowInput& input() const { return input_; }

 private:
  void add(const Rows& rows, Lane& lane);

  WindowInput input_;
  int64_t arrivals_ = 0;                 // rows emitted; state that is checkpointed
  std::optional<int64_t> own_position_;  // of the panes that a record fires
  std::vector<int32_t> late_;            // scratch: what is emitted meanwhile uses that of the lane
};

}  // namespace pystream::runtime
