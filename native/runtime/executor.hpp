#pragma once
// Runs a graph: takes batches from the sources in append order, moves them through the operators
// and into the sinks.
//
// A round takes some batches of a source, lets the threads work on them (each on its own group of
// partitions), waits for all of them, then delivers what reached sinks, collects and Python stages
// in append order, and advances the watermark. So the results do not depend on the number of
// threads, on how reads were cut, or on the budget of a run (float sums may differ in the last bits
// with the number of threads).
//
// Threads: one thread at a time calls run(), take(), give(); any thread calls request_stop(),
// metrics(). With one thread none is started. The destructor joins the threads and loses nothing
// that was appended.
//
// Crash: state lives in memory only, but for what snapshot() gave; what the sinks appended is in
// the log.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "runtime/graph.hpp"
#include "runtime/job_snapshot.hpp"
#include "runtime/metrics.hpp"
#include "runtime/trigger_stage.hpp"

namespace pystream::runtime {

struct ExecutorOptions {
  int threads = 1;  // sources that meet use at most as many as they have partitions together
  // A round ends after this many rows, stored bytes or batches, whichever comes first.
  int64_t round_rows = int64_t{1} << 20;
  int64_t round_bytes = int64_t{256} << 20;
  int64_t round_batches = 4096;
  // Stored batches are cut to this many rows on their way through the operators, to stay in cache.
  int64_t chunk_rows = 16384;
  // Of sources that meet and are in no log, each gives so many rows before another has its turn. It
  // is part of the order of rows: a job that goes on must keep it.
  int64_t turn_rows = 65536;
  // Of processing time; null: the wall clock.
  std::shared_ptr<const ManualClock> clock = nullptr;
};

enum class RunStatus : uint8_t {
  kFinished,  // all inputs ended, everything was delivered; further calls return the same
  kStopped,   // request_stop(): no final watermark was sent; further calls return the same
  kPending,   // a Python stage has input: take() it, then run again
  kBudget,    // the time is up and there is more to do
  kIdle,      // the time is up and there was nothing to do
};

class Executor {
 public:
  // Plans the graph: which columns each operator needs, who runs where. Throws kConfig when the
  // options are wrong or an operator's output goes nowhere.
  //
  // With snapshots of one moment of this job, which may have been split by key group, it goes on
  // from there; throws kCheckpoint where they do not fit. What sinks have appended since then is
  // appended once more.
  explicit Executor(const Graph& graph, const ExecutorOptions& options = {},
                    const std::vector<JobSnapshot>& restored = {});
  ~Executor();

  // Works for about budget_us (a round is only interrupted by a stop), tailing sources wait that
  // long for input. The first error of an operator ends the job: it is thrown with facts operator,
  // and topic, partition, offset of the batch when a batch of a topic was at hand; nothing of the
  // round in which it happened was delivered to sinks before it. Later calls throw kClosed.
  //
  // `is_interrupted`, if any, is asked about ten times a second by the calling thread while it
  // works, and ends the job as request_stop() does.
  RunStatus run(int64_t budget_us, const std::function<bool()>& is_interrupted = {});

  // The Python stages that have input now.
  std::vector<int> pending() const;
  // Next input batch of a Python stage; nullopt when there is none. It must be answered with give()
  // before the next take() of this stage.
  std::optional<RecordBatch> take(int node);
  // Answers the batch taken last with any number of batches of the stage's output schema. All
  // their rows carry the watermark from before the batch taken.
  void give(int node, std::vector<RecordBatch> outputs);

  // Windows with a trigger of the caller's own are stages, too, which are not given but run: works
  // off one batch or watermark that the stage has as input. Returns whether there is more. What the
  // trigger throws comes out as it is, and ends the job.
  bool run_trigger(int node);

  // What a collect holds; it is empty afterwards.
  std::vector<RecordBatch> take_collected(int node);

  // The state of the job between two rounds. None while a stage or a collect holds something, which
  // is to be taken before. Throws kClosed when the job has failed or was stopped, and
  // kNotSupported, naming the operator, where what an operator holds cannot be written.
  std::optional<JobSnapshot> snapshot();

  // Ends the job between two chunks of a source, two results or panes of a window, or two calls of
  // a trigger: what sinks have of a round by then stays. Idempotent.
  void request_stop();

  // One per node of the graph, in its order.
  std::vector<MetricsSnapshot> metrics() const;
  // Names of the columns that a source reads.
  std::vector<std::string> columns_read(int node) const;
  // Of a topic source: the next offset to be processed, per partition.
  std::vector<int64_t> positions(int node) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pystream::runtime
