#pragma once
// What the executor moves rows through: a tree of operators below each source, pushed into.
//
// Rows reach an operator in one of two phases. In the parallel phase of a round several threads
// push batches of the source, each thread through its own Lane; ordered operators (sinks, collects,
// Python stages) then only note their input in the lane. In the serial phase one thread delivers
// those notes in append order and advances the watermark; what windows emit is pushed on at once.
// Operators whose input passes a window or Python stage see the serial phase only.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stop_signal.hpp"
#include "columns/record_batch.hpp"
#include "runtime/metrics.hpp"
#include "state/snapshot.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

// Rows on their way, with the watermark in force when each arrived. watermarks.all is the watermark
// before the batch also when there is one per row.
struct Rows {
  RecordBatch batch;
  windows::RowWatermarks watermarks;
  // int64 per row, where a union below merges by them (see timeline.hpp): when in the round the row
  // came.
  Buffer positions = {};
};

struct ScopeMarks;
class Timeline;

class Operator;
class OrderedOperator;
class WatermarkPath;

// The fact of a snapshot that numbers the rows that an operator emits next.
inline constexpr const char* kRowsEmitted = "rows_emitted";

// An ordered operator's input, noted for the serial phase.
struct Emission {
  OrderedOperator* target;
  Rows rows;
};

// One thread's way through the operators.
struct Lane {
  void check_stop() const {
    if (stop != nullptr) stop->check();
  }
  // Goes on as `op` and returns the operator that was at work. The time since the last change is
  // that operator's. Once per batch: two readings of the clock for each operator that it passes.
  Operator* enter(Operator* op);
  // Goes back to what enter() returned; not called on an error.
  void leave(Operator* caller) { enter(caller); }

  int thread = 0;
  StopSignal* stop = nullptr;                  // asked with each chunk of a source, each result
  std::vector<Emission>* emissions = nullptr;  // null in the serial phase
  const ScopeMarks* scopes = nullptr;          // of the batch, in the parallel phase
  int64_t now_ms = 0;                          // processing time
  // Of the rows that are emitted next, in the serial phase. None: that of their watermarks.
  std::optional<int64_t> position = std::nullopt;
  Operator* current = nullptr;   // at work, or failed
  int64_t since_ns = 0;          // when it began
  std::vector<int32_t> indices;  // scratch of one process() call, not kept
};

class Operator {
 public:
  Operator(std::string name, const char* kind) : name_(std::move(name)), kind_(kind) {}
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Takes rows in. On an error, lane.current stays at the operator that failed.
  void push(Rows&& rows, Lane& lane) {
    Operator* caller = lane.enter(this);
    OperatorMetrics::add(metrics_.records_in, rows.batch.num_rows);
    OperatorMetrics::add(metrics_.batches_in, 1);
    process(std::move(rows), lane);
    lane.leave(caller);
  }

  // Serial phase: no row at or below this watermark comes any more. Never goes back.
  void advance(int64_t watermark, Lane& lane);

  // Serial phase: whatever is buffered goes out now.
  void flush(Lane& lane);

  void connect(int output, Operator* consumer);
  // Where the rows of an input enter.
  virtual Operator* entry(int /*input*/) { return this; }
  // Its rows need positions on that timeline, whose scope `scope` it belongs to.
  void set_timeline(Timeline* timeline, int scope) {
    timeline_ = timeline;
    scope_ = scope;
  }

  const std::string& name() const { return name_; }
  OperatorMetrics& metrics() { return metrics_; }
  // Any thread.
  MetricsSnapshot snapshot() const;
  // Whether what it does depends on the watermarks of the rows that it takes in.
  virtual bool reads_watermarks() const { return false; }
  // Of what waits for the watermark: one at which to look again, not later than the first at which
  // something fires. Windows tell; other operators have nothing that waits.
  virtual std::optional<int64_t> next_timer() const { return std::nullopt; }
  // Of work that is long for a single batch; before the job starts.
  virtual void set_stop(StopSignal*) {}
  // What it holds when the input ends is not shown.
  void drop_at_end() { drops_at_end_ = true; }
  // Whether an operator below does. After all of those have found it out; before the job starts.
  void find_readers();
  bool has_readers() const { return has_readers_; }
  // Where in_force() looks: the path of its one source, or a timeline with the scope of several.
  void set_path(const WatermarkPath* path) { path_ = path; }
  void set_path(Timeline* timeline, int scope) {
    scope_path_ = timeline;
    scope_ = scope;
  }
  // What outlives a round, into a snapshot and out of one; between two rounds, once everything has
  // been delivered. See state/snapshot.hpp.
  virtual void write_state(state::StateWriter* writer) = 0;
  virtual void read_state(const state::StateReader& reader, state::KeyGroupRange range) = 0;
  // What the plan knows of it, for the metrics; before the job starts.
  void set_place(int threads, std::optional<DataType> watermark_type) {
    threads_ = threads;
    watermark_type_ = std::move(watermark_type);
  }

 protected:
  const char* kind() const { return kind_; }
  // Of an operator that keeps nothing between two rounds, or nothing but one number.
  void write_nothing(state::StateWriter* writer) const;
  void read_nothing(const state::StateReader& reader) const;
  void write_number(const char* fact, int64_t number, state::StateWriter* writer) const;
  int64_t read_number(const char* fact, const state::StateReader& reader) const;
  virtual void process(Rows&& rows, Lane& lane) = 0;
  // Before the watermark is passed on; the default does nothing.
  virtual void on_watermark(int64_t watermark, Lane& lane);
  // Whether operators below are told of the watermark by this one, now.
  virtual bool forwards_watermark() const { return true; }
  // Whether operators below see the watermarks of the rows that it takes in.
  virtual bool passes_watermarks() const { return true; }
  bool drops_at_end() const { return drops_at_end_; }
  void note_dropped();
  // That of the operator below, or the first of several.
  std::optional<int64_t> next_timer_below() const;
  virtual void on_flush() {}
  // For the snapshot; any thread.
  virtual std::optional<int64_t> pending_records() const { return std::nullopt; }

  void emit(int output, Rows&& rows, Lane& lane);
  // Of rows that the watermark has fired, each at the moment behind the one given: the watermark
  // that was in force before. Operators below see them at that one.
  windows::RowWatermarks in_force(windows::RowWatermarks&& moments, int64_t rows) const;
  bool has_consumer(int output) const {
    return static_cast<size_t>(output) < outputs_.size() &&
           !outputs_[static_cast<size_t>(output)].empty();
  }
  void forward_watermark(int64_t watermark, Lane& lane);
  bool needs_positions() const { return timeline_ != nullptr; }

  OperatorMetrics metrics_;

 private:
  std::string name_;
  const char* kind_;
  int threads_ = 1;
  std::optional<DataType> watermark_type_;
  std::vector<std::vector<Operator*>> outputs_;
  bool has_readers_ = false;
  bool drops_at_end_ = false;
  const WatermarkPath* path_ = nullptr;
  Timeline* scope_path_ = nullptr;
  Timeline* timeline_ = nullptr;
  int scope_ = 0;
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

// An operator, `Base`, that keeps nothing between two rounds.
template <typename Base>
class Forgetful : public Base {
 public:
  using Base::Base;

  void write_state(state::StateWriter* writer) final { this->write_nothing(writer); }
  void read_state(const state::StateReader& reader, state::KeyGroupRange) final {
    this->read_nothing(reader);
  }
};

}  // namespace pystream::runtime
