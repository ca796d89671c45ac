#pragma once
// Windows whose trigger is outside the core: rows and watermarks wait in a queue, and are worked
// off by the thread that drives the executor.
//
// As of python_stage.hpp, the queue is bounded by one round.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/python_stage.hpp"
#include "runtime/window_input.hpp"
#include "windows/pane_aggregation.hpp"

namespace pystream::runtime {

class TriggerCalls : public windows::PaneTrigger {
 public:
  // Around the calls of a run; the panes are those of `aggregation`.
  virtual void begin(const windows::PaneAggregation& aggregation) = 0;
  virtual void end() noexcept = 0;
  // The rows that on_element() speaks of from here on.
  virtual void next_batch(const RecordBatch& rows) = 0;
};

class TriggerStageOperator final : public StageOperator {
 public:
  // `aggregation`: by index of the actual input.
  TriggerStageOperator(std::string name, const char* kind, WindowInput::Plan input,
                       windows::PaneAggregationSpec aggregation,
                       std::shared_ptr<TriggerCalls> calls);

  void deliver(Rows&& rows, Lane& lane) override;
  bool reads_watermarks() const override { return true; }
  std::optional<int64_t> next_timer() const override { return aggregation_.next_timer(); }
  // Asked at each call of the trigger.
  void set_stop(StopSignal* stop) override {
    stop_ = stop;
    aggregation_.set_stop(stop);
  }
  bool has_input() const override { return !queue_.empty(); }
  bool is_empty() const override { return queue_.empty() && outbox_.empty(); }
  void drain(Lane& lane) override;

  // Works off one batch or watermark; false when there is no other.
  bool run();
  void write_state(state::StateWriter* writer) override;
  void read_state(const state::StateReader& reader, state::KeyGroupRange range) override;

 protected:
  void on_watermark(int64_t watermark, Lane& lane) override;
  void on_flush() override {
    OperatorMetrics::set(metrics_.state_bytes, aggregation_.state_bytes() + trigger_bytes_);
  }

 private:
  // Rows for an output, or a watermark.
  struct Entry {
    int output = 0;
    std::optional<RecordBatch> batch;   // none: a watermark
    windows::RowWatermarks watermarks;  // of the batch; `all` is the one to be passed on
    // Where a union below merges by them: places of the rows, or the one of panes that a record has
    // fired. What the watermark fires has neither.
    Buffer positions = {};
    std::optional<int64_t> position = {};
  };

  void add(const Rows& rows, const windows::EmitPanes& emit);

  WindowInput input_;
  std::shared_ptr<TriggerCalls> calls_;
  windows::PaneAggregation aggregation_;
  StopSignal* stop_ = nullptr;
  std::deque<Entry> queue_;
  std::deque<Entry> outbox_;
  std::optional<int64_t> own_position_;  // of the panes that the record at work fires
  int64_t trigger_bytes_ = 0;            // that the trigger held when it was called last
  int64_t arrivals_ = 0;                 // rows moved on; state that is checkpointed
};

}  // namespace pystream::runtime
