#pragma once
// What the executor moves rows through: a tree of operators below each source, pushed into.
//
// Rows reach an operator in one of two phases. In the parallel phase of a round several threads
// push batches of the source, each thread through its own Lane; ordered operators (sinks, collects,
// Python stages) then only note their input in the lane. In the serial phase one thread delivers
// those notes in append order and advances the watermark; what windows emit is pushed on at once.
// Operators whose input passes a window or Python stage see the serial phase only.

#include <cstdint>
#include <string>
#include <vector>

#include "columns/record_batch.hpp"
#include "runtime/metrics.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

// Rows on their way, with the watermark in force when each arrived. watermarks.all is the watermark
// before the batch also when there is one per row.
struct Rows {
  RecordBatch batch;
  windows::RowWatermarks watermarks;
};

class Operator;
class OrderedOperator;

// An ordered operator's input, noted for the serial phase.
struct Emission {
  OrderedOperator* target;
  Rows rows;
};

// One thread's way through the operators.
struct Lane {
  int thread = 0;
  std::vector<Emission>* emissions = nullptr;  // null in the serial phase
  const Operator* current = nullptr;           // at work, or failed
  std::vector<int32_t> indices;                // scratch of one process() call, not kept
};

class Operator {
 public:
  Operator(std::string name, const char* kind) : name_(std::move(name)), kind_(kind) {}
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Takes rows in. On an error, lane.current stays at the operator that failed.
  void push(Rows&& rows, Lane& lane) {
    const Operator* caller = lane.current;
    lane.current = this;
    OperatorMetrics::add(metrics_.records_in, rows.batch.num_rows);
    OperatorMetrics::add(metrics_.batches_in, 1);
    process(std::move(rows), lane);
    lane.current = caller;
  }

  // Serial phase: no row at or below this watermark comes any more. Never goes back.
  void advance(int64_t watermark, Lane& lane);

  // Serial phase: whatever is buffered goes out now.
  void flush(Lane& lane);

  void connect(int output, Operator* consumer);

  const std::string& name() const { return name_; }
  OperatorMetrics& metrics() { return metrics_; }
  MetricsSnapshot snapshot() const;

 protected:
  virtual void process(Rows&& rows, Lane& lane) = 0;
  // Before the watermark is passed on; the default does nothing.
  virtual void on_watermark(int64_t watermark, Lane& lane);
  // Whether operators below are told of the watermark by this one, now.
  virtual bool forwards_watermark() const { return true; }
  virtual void on_flush() {}

  void emit(int output, Rows&& rows, Lane& lane);
  bool has_consumer(int output) const {
    return static_cast<size_t>(output) < outputs_.size() &&
           !outputs_[static_cast<size_t>(output)].empty();
  }
  void forward_watermark(int64_t watermark, Lane& lane);

  OperatorMetrics metrics_;

 private:
  std::string name_;
  const char* kind_;
  std::vector<std::vector<Operator*>> outputs_;
};

// An operator that must see its input in append order.
class OrderedOperator : public Operator {
 public:
  using Operator::Operator;

  // Serial phase.
  virtual void deliver(Rows&& rows, Lane& lane) = 0;

 protected:
  void process(Rows&& rows, Lane& lane) final;
};

}  // namespace pystream::runtime
