#pragma once
// The place where rows leave the core for Python and come back: a queue of input batches with the
// watermarks between them, emptied by the thread that drives the executor.
//
// It is bounded by one round: the executor reads no source while a stage has input. What the
// function in Python remembers is not known here: it has no place in a snapshot.
// A stage of another kind is trigger_stage.hpp.

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/operator.hpp"

namespace pystream::runtime {

class StageOperator : public OrderedOperator {
 public:
  using OrderedOperator::OrderedOperator;

  virtual bool has_input() const = 0;
  // Nothing queued, nothing taken, nothing given.
  virtual bool is_empty() const = 0;
  // Moves on what was given, and the watermarks between and behind it.
  virtual void drain(Lane& lane) = 0;

 protected:
  bool forwards_watermark() const override { return false; }
};

class PythonStageOperator final : public StageOperator {
 public:
  PythonStageOperator(std::string name, SchemaPtr output, bool keeps_rows = false);

  void deliver(Rows&& rows, Lane& lane) override;

  bool has_input() const override { return !is_taken_ && !queue_.empty(); }
  bool is_empty() const override { return queue_.empty() && !is_taken_ && outbox_.empty(); }
  std::optional<RecordBatch> take();
  // Throws kSchema when an output has another schema or, where rows are kept, another number of
  // them; kConfig when nothing was taken.
  void give(std::vector<RecordBatch> outputs);
  void drain(Lane& lane) override;
  void write_state(state::StateWriter* writer) override {
    write_number(kRowsEmitted, arrivals_, writer);
  }
  void read_state(const state::StateReader& reader, state::KeyGroupRange) override {
    arrivals_ = read_number(kRowsEmitted, reader);
  }

 protected:
  void on_watermark(int64_t watermark, Lane& lane) override;

 private:
  struct Entry {
    std::optional<RecordBatch> batch;   // none: a watermark
    windows::RowWatermarks watermarks;  // of the batch; `all` is the one to be passed on
    Buffer positions = {};              // of its rows, or of the batch that they came from
  };

  void move_watermarks();

  SchemaPtr output_;
  bool keeps_rows_;
  std::deque<Entry> queue_;  // input; a watermark at the head only while a batch is taken
  bool is_taken_ = false;
  int64_t taken_at_ns_ = 0;  // Python is at work since then
  windows::RowWatermarks taken_watermarks_;
  int64_t taken_rows_ = 0;
  Buffer taken_positions_;
  std::deque<Entry> outbox_;
  int64_t arrivals_ = 0;  // rows moved on; state that is checkpointed
};

// Keeps its input for the caller.
class CollectOperator final : public Forgetful<OrderedOperator> {
 public:
  explicit CollectOperator(std::string name) : Forgetful(std::move(name), "collect") {}

  void deliver(Rows&& rows, Lane&) override { batches_.push_back(std::move(rows.batch)); }
  bool is_empty() const { return batches_.empty(); }
  // What it holds has been delivered; it is the caller's.
  std::vector<RecordBatch> take_all() { return std::exchange(batches_, {}); }

 private:
  std::vector<RecordBatch> batches_;
};

}  // namespace pystream::runtime
