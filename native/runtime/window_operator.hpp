#pragma once
// A window aggregation in the graph: rows in, results out when the watermark closes windows, rows
// that entered no window out at the second output. With allowed lateness, rows that come behind a
// window wait for the serial phase, where they fire panes.

#include <optional>
#include <string>

#include "runtime/operator.hpp"
#include "runtime/window_input.hpp"

namespace pystream::runtime {

class WindowOperator final : public Operator {
 public:
  // `aggregation`: by index of the actual input. `threads`: that may push at once.
  WindowOperator(std::string name, WindowInput::Plan input,
                 const windows::WindowAggregationSpec& aggregation, int threads);

  // False when no row of these event times can be late while the watermark is <= watermark.
  bool may_be_late(int64_t min_event_time, int64_t watermark) const;

  bool reads_watermarks() const override { return true; }
  std::optional<int64_t> next_timer() const override { return aggregation_.next_timer(); }
  void write_state(state::StateWriter* writer) override;
  void read_state(const state::StateReader& reader, state::KeyGroupRange range) override;

 protected:
  void process(Rows&& rows, Lane& lane) override;
  void on_watermark(int64_t watermark, Lane& lane) override;
  // Also where no watermark moves.
  void on_flush() override {
    aggregation_.settle();
    OperatorMetrics::set(metrics_.state_bytes, aggregation_.state_bytes());
  }

 private:
  // Rows behind a window, in append order. Part of its window, with that one's name.
  class Behind final : public Forgetful<OrderedOperator> {
   public:
    explicit Behind(WindowOperator* window)
        : Forgetful(window->name(), "window"), window_(window) {}
    void deliver(Rows&& rows, Lane& lane) override { window_->deliver_behind(rows, lane); }

   private:
    WindowOperator* window_;
  };

  void emit_late(const Rows& rows, Lane& lane);
  void deliver_behind(const Rows& rows, Lane& lane);
  void add_behind(const Rows& rows, std::optional<int64_t> position, Lane& lane);
  void emit_result(RecordBatch&& result, Lane& lane);

  WindowInput input_;
  windows::WindowAggregation aggregation_;
  Behind behind_;
  size_t window_end_column_;
  int64_t arrivals_ = 0;  // rows emitted; state that is checkpointed
};

}  // namespace pystream::runtime
