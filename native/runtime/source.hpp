#pragma once
// Where batches come from: a reader hands out rounds of batches in append order, a source operator
// turns each into rows with watermarks and pushes them through the tree below.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/batch_skip.hpp"
#include "runtime/operator.hpp"
#include "runtime/round_clock.hpp"
#include "runtime/watermark.hpp"
#include "runtime/watermark_scope.hpp"
#include "storage/log_batch.hpp"

namespace pystream::runtime {

struct SourceBatch;

struct RoundLimits {
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t batches = 0;
  RoundClock* clock = nullptr;  // of a job that looks at it: the round ends where it moves on

  bool may_take(const std::vector<SourceBatch>& round) const;
};

// One batch of a round: what a thread needs to process it alone.
struct SourceBatch {
  int source = 0;                           // of the group
  int partition = 0;                        // position in the source's list of partitions
  std::optional<storage::LogBatch> stored;  // of a topic
  RecordBatch memory;                       // else
  int64_t skip_rows = 0;                    // of `stored`, before the start offset
  int64_t num_rows = 0;                     // without the skipped
  int64_t bytes = 0;                        // for the limit of a round
  int64_t first_arrival = 0;                // number of its first row, in append order
  BatchWatermarks marks;
  std::vector<ScopeMarks> scopes;  // of sources that meet below: per scope of the group
  // How far each row lets event time progress (int64), where that is not its event time itself.
  std::optional<Array> progress;
  std::vector<Emission> emissions;  // filled by the thread that processes it
};

inline bool RoundLimits::may_take(const std::vector<SourceBatch>& round) const {
  return clock == nullptr || clock->may_take(round.empty());
}

class BatchReader;
class TopicReader;

// Serial: one thread at a time.
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  // Appends the batches of the next round, in append order; none when nothing is there now.
  virtual void next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) = 0;
  // A null event time is an error where its batch is read, which knows its place best. Otherwise it
  // moves no watermark, and is an error of the operator that needs it.
  virtual void require_event_times() {}
  // Nothing will come any more.
  virtual bool has_ended() const = 0;
  // After everything handed out.
  virtual int64_t watermark() const = 0;
  // What a group of sources reads in turns: batches that are in no log, and those of topics, which
  // come behind. carry_over() goes over each batch that it took from either.
  virtual BatchReader* history() { return nullptr; }
  virtual TopicReader* topic() { return nullptr; }
  virtual void carry_over(SourceBatch*) {}
  virtual SourceStatus status() const { return {watermark(), false, 0, has_ended()}; }
  // After a round that gave nothing: whether the time that has passed without a batch moved the
  // watermark.
  virtual bool pass_idle_time() { return false; }
  // How it did so.
  virtual std::vector<WatermarkStep> take_steps() { return {}; }
  virtual int partition_count() const { return 1; }
  // The next offset per partition; empty without offsets.
  virtual std::vector<int64_t> positions() const { return {}; }
  // Records that are there and not handed out yet; none where that is not known. Any thread.
  virtual std::optional<int64_t> pending_records() const { return std::nullopt; }
  // Records that were stepped over because they cannot be read.
  virtual int64_t skipped_records() const { return 0; }
  // Records that did not move the watermark, for they were too far ahead.
  virtual int64_t ahead_records() const { return 0; }
  // The columns of a batch that the operators need: those of the source operator's schema. Any
  // thread.
  virtual RecordBatch read(const SourceBatch& batch) const = 0;
  // What it knows between two rounds, see source_state.hpp; the layout says in words what that is
  // of. read_state() lets a reader that has read nothing go on from there; after an error it is not
  // to be used.
  virtual std::string state_layout() const = 0;
  virtual void write_state(state::StateWriter* writer) const = 0;
  virtual void read_state(const state::StateReader& reader) = 0;
  // Bounds of a column of read(), by its index there, where they are known. Any thread.
  virtual std::optional<storage::ColumnStatistics> statistics(const SourceBatch&, int) const {
    return std::nullopt;
  }
  // The event-time column of the rows that read() gave; plain. Any thread.
  virtual Array event_time(const SourceBatch& batch) const = 0;
};

class WindowOperator;

// The root of a tree. process() is not used: batches enter through run().
class SourceOperator final : public Operator {
 public:
  struct Plan {
    bool has_watermark = false;
    int64_t delay = 0;
    int64_t chunk_rows = 0;
    // Windows that are reached in the parallel phase by rows whose event time is still the
    // source's, and whether there are others, which need the watermark of every row.
    std::vector<const WindowOperator*> windows;
    bool needs_row_watermarks = false;
    std::optional<BatchSkip> skip;  // when all that reads this source is a filter,
    Operator* filter = nullptr;     // this one
  };
  SourceOperator(std::string name, const char* kind, SourceReader* reader);
  void set_plan(Plan plan) { plan_ = std::move(plan); }

  // Parallel phase: moves one batch through the tree.
  void run(SourceBatch* batch, Lane& lane);

  // Positions and watermarks, which are the reader's. They belong to no key.
  void write_state(state::StateWriter* writer) override;
  void read_state(const state::StateReader& reader, state::KeyGroupRange range) override;

 protected:
  void process(Rows&&, Lane&) override {}
  std::optional<int64_t> pending_records() const override { return reader_->pending_records(); }

 private:
  // Whether, by the batch's extremes, the rows' own watermarks can make a difference to some
  // window.
  bool needs_row_watermarks(const BatchWatermarks& marks) const;
  void run_rows(const SourceBatch& batch, Lane& lane);
  bool can_skip(const SourceBatch& batch) const;
  void skip(const SourceBatch& batch);

  SourceReader* reader_;
  Plan plan_;
};

}  // namespace pystream::runtime
