#pragma once
// The work of an executor: its plan, and one round after another. See executor.hpp.

#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "base/stop_signal.hpp"
#include "runtime/executor.hpp"
#include "runtime/plan.hpp"
#include "runtime/round_clock.hpp"
#include "runtime/source_alignment.hpp"
#include "runtime/worker_pool.hpp"

namespace pystream::runtime {

struct Executor::State {
  State(const Graph& graph, const ExecutorOptions& given, const std::vector<JobSnapshot>& restored);

  void restore(const std::vector<JobSnapshot>& parts);
  // Moves on what waits for nobody outside; false while something does.
  bool settle();

  // One round of a group of sources; false when there was nothing to do.
  bool run_round(size_t index);
  void process(const PlannedGroup& group, std::vector<SourceBatch>* round);
  // The lowest failed batch in append order, so that the error does not depend on the threads.
  void throw_first_failure(const std::vector<SourceBatch>& round) const;
  void deliver(std::vector<SourceBatch>* round);
  void advance(PlannedSource* source, int64_t watermark);
  // Ends the sources of the group that have nothing more to give; whether there was one.
  bool end_sources(const PlannedGroup& group);
  // Lets unions go on whose inputs have brought all that this round gives; whether one did.
  bool complete_unions();
  void note_steps(PlannedSource* source);
  bool keeps_round(const PlannedGroup& group) const;
  void end_rounds();
  bool is_group_done(const PlannedGroup& group) const;
  void drain_stages();
  bool has_pending() const;
  bool is_finished() const;
  int64_t until_next_timer_us() const;
  void wait(int64_t budget_us) const;
  RunStatus run(int64_t budget_us);
  const PlannedSource& source_at(int node) const;

  ExecutorOptions options;
  Plan plan;
  WorkerPool pool;
  RoundClock clock;
  SourceAlignment alignment;
  StopSignal stop;
  std::optional<RunStatus> final_status;
  bool has_failed = false;
  bool has_clocks = false;
  std::vector<bool> is_source_done;
  int64_t arrivals = 0;  // rows that sources handed out so far

  // Per group, of the round at work: the unions that have not gone on yet, and its batches, which
  // stay for as long as there is one.
  std::vector<size_t> due;
  std::vector<std::vector<SourceBatch>> rounds;
  struct Failure {
    std::exception_ptr exception;
    const Operator* failed = nullptr;
    size_t batch = 0;
  };
  std::vector<std::optional<Failure>> failures;  // per thread
  Lane serial;                                   // of the serial phase
  const SourceBatch* serial_batch = nullptr;     // whose emissions are delivered
};

}  // namespace pystream::runtime
