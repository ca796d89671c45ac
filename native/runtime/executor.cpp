#include "runtime/executor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "base/error.hpp"

#include "runtime/operator_error.hpp"
#include "runtime/plan.hpp"
#include "runtime/source_alignment.hpp"
#include "runtime/worker_pool.hpp"

namespace pystream::runtime {

namespace {

using Clock = std::chrono::steady_clock;

// A wait ends this often to look whether the job is to stop.
constexpr int64_t kWaitSliceUs = 20'000;
// A bounded source that waits, waits only for a writer that is between taking its place in the
// order and publishing.
constexpr int64_t kOrderWaitSliceUs = 1'000;

void check_options(const ExecutorOptions& options) {
  const auto check = [](const char* setting, int64_t value) {
    if (value >= 1) return;
    throw Error(ErrorCode::kConfig,
                std::string(setting) + " is " + std::to_string(value) + ". Pass at least 1.");
  };
  check("threads", options.threads);
  check("round_rows", options.round_rows);
  check("round_bytes", options.round_bytes);
  check("round_batches", options.round_batches);
  check("chunk_rows", options.chunk_rows);
  check("turn_rows", options.turn_rows);
}

// Bitmaps of slices are shared without a copy when they start at a byte.
ExecutorOptions aligned(ExecutorOptions options) {
  options.chunk_rows = (options.chunk_rows + 63) / 64 * 64;
  return options;
}

int most_threads(const Plan& plan) {
  int most = 1;
  for (const PlannedGroup& group : plan.groups) most = std::max(most, group.threads);
  return most;
}

template <typename T>
T* find_node(const std::vector<PlannedNode<T>>& nodes, int node, const char* kind) {
  for (const auto& planned : nodes) {
    if (planned.node == node) return planned.op;
  }
  throw Error(ErrorCode::kConfig, "node " + std::to_string(node) + " is not a " + kind +
                                      ". Pass what the graph's add_ call returned.");
}

template <typename Stage>
Stage& find_stage(const Plan& plan, int node) {
  auto* stage = dynamic_cast<Stage*>(find_node(plan.stages, node, "Python stage"));
  if (stage != nullptr) return *stage;
  throw Error(ErrorCode::kConfig, "node " + std::to_string(node) +
                                      " is a stage of the other kind. Stages are taken and given, "
                                      "and triggers are run.");
}

}  // namespace

struct Executor::State {
  State(const Graph& graph, const ExecutorOptions& given)
      : options(aligned(given)),
        plan(make_plan(graph, options)),
        pool(most_threads(plan)),
        clock(given.clock),
        alignment(graph, plan) {
    is_source_done.resize(plan.sources.size());
    due.resize(plan.groups.size());
    rounds.resize(plan.groups.size());
    serial.stop = &stop;
    for (const auto& op : plan.operators) op->set_stop(&stop);
    has_clocks = std::any_of(plan.groups.begin(), plan.groups.end(),
                             [](const PlannedGroup& group) { return !group.clocks.empty(); });
  }

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
  void replace_operators();
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
  int64_t arrivals = 0;  // rows that sources handed out so far; checkpointed with the state

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

void Executor::State::process(const PlannedGroup& group, std::vector<SourceBatch>* round) {
  failures.assign(static_cast<size_t>(pool.threads()), std::nullopt);
  const auto thread_of = [&](const SourceBatch& batch) {
    return (group.first_lanes[static_cast<size_t>(batch.source)] + batch.partition) % group.threads;
  };
  const auto work = [&](int thread) {
    if (thread >= group.threads) return;
    Lane lane;
    lane.thread = thread;
    lane.now_ms = clock.round_ms();
    lane.stop = &stop;
    for (size_t i = 0; i < round->size(); ++i) {
      SourceBatch& batch = (*round)[i];
      if (thread_of(batch) != thread) continue;
      try {
        plan.sources[group.sources[static_cast<size_t>(batch.source)]].root->run(&batch, lane);
      } catch (...) {
        failures[static_cast<size_t>(thread)] = Failure{std::current_exception(), lane.current, i};
        return;
      }
    }
  };
  if (group.threads == 1) {
    work(0);
  } else {
    pool.run(work);
  }
  throw_first_failure(*round);
}

void Executor::State::throw_first_failure(const std::vector<SourceBatch>& round) const {
  const Failure* first = nullptr;
  for (const auto& failure : failures) {
    if (failure && (first == nullptr || failure->batch < first->batch)) first = &*failure;
  }
  if (first == nullptr) return;
  if (stop.is_requested()) throw StopRequested{};  // which is what ended the threads
  throw located_error(first->exception, first->failed, &round[first->batch]);
}

void Executor::State::deliver(std::vector<SourceBatch>* round) {
  for (SourceBatch& batch : *round) {
    serial_batch = &batch;
    for (Emission& emission : batch.emissions) {
      serial.enter(emission.target);
      emission.target->deliver(std::move(emission.rows), serial);
    }
    batch.emissions.clear();
  }
  serial_batch = nullptr;
  serial.leave(nullptr);
}

void Executor::State::advance(PlannedSource* source, int64_t watermark) {
  if (watermark != windows::kMinWatermark) source->root->advance(watermark, serial);
  source->root->flush(serial);
}

bool Executor::State::end_sources(const PlannedGroup& group) {
  bool has_ended = false;
  for (const size_t index : group.sources) {
    PlannedSource& source = plan.sources[index];
    if (is_source_done[index] || !source.reader->has_ended()) continue;
    is_source_done[index] = true;
    has_ended = true;
    if (source.path) source.path->add(WatermarkStep{windows::kMaxWatermark, false});
    advance(&source, windows::kMaxWatermark);
  }
  return has_ended;
}

bool Executor::State::run_round(size_t index) {
  PlannedGroup& group = plan.groups[index];
  std::vector<SourceBatch>& round = rounds[index];
  for (const size_t i : group.sources) {
    PlannedSource& source = plan.sources[i];
    if (source.path) source.path->begin(source.reader->watermark());
  }
  serial.enter(plan.sources[group.sources[0]].root);
  const int64_t rows =
      alignment.has(index) ? std::min(options.round_rows, options.turn_rows) : options.round_rows;
  group.reader->next_round(
      {rows, options.round_bytes, options.round_batches, group.clocks.empty() ? nullptr : &clock},
      &round);
  const bool had_any = !round.empty();
  alignment.note_round(index, had_any);
  if (!group.clocks.empty()) serial.now_ms = had_any ? clock.round_ms() : clock.now_ms();
  for (SourceBatch& batch : round) {
    batch.first_arrival = arrivals;
    arrivals += batch.num_rows;
  }
  for (const size_t i : group.sources) {
    const PlannedSource& source = plan.sources[i];
    OperatorMetrics::set(source.root->metrics().skipped_records, source.reader->skipped_records());
    OperatorMetrics::set(source.root->metrics().ahead_records, source.reader->ahead_records());
  }
  serial.leave(nullptr);
  if (group.timeline) group.timeline->begin(&round);
  if (had_any) {
    for (const SourceBatch& batch : round) {
      const size_t source = group.sources[static_cast<size_t>(batch.source)];
      if (plan.sources[source].path) plan.sources[source].path->add(batch);
    }
    process(group, &round);
    deliver(&round);
  }
  bool has_fired = false;
  for (ProcessingTimeOperator* op : group.clocks) has_fired |= op->pass_time(serial.now_ms, serial);
  const bool has_moved = had_any || has_fired || group.reader->pass_idle_time();
  for (const size_t i : group.sources) note_steps(&plan.sources[i]);
  if (!keeps_round(group)) round.clear();
  if (has_moved) {
    for (const size_t i : group.sources) {
      if (!is_source_done[i]) advance(&plan.sources[i], plan.sources[i].reader->watermark());
    }
  }
  const bool has_ended = end_sources(group);
  due[index] = has_moved || has_ended ? group.unions.size() : 0;
  return had_any || has_fired || has_ended || due[index] > 0;
}

// Time that has passed, here or as other sources say, may have moved the watermark in steps.
void Executor::State::note_steps(PlannedSource* source) {
  for (const WatermarkStep& step : source->reader->take_steps()) {
    if (source->path) source->path->add(step);
  }
}

bool Executor::State::keeps_round(const PlannedGroup& group) const {
  return group.timeline != nullptr ||
         std::any_of(group.sources.begin(), group.sources.end(),
                     [this](size_t source) { return plan.sources[source].path != nullptr; });
}

// Nothing asks for what the rounds brought now.
void Executor::State::end_rounds() {
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    if (plan.groups[i].timeline) plan.groups[i].timeline->end();
    rounds[i].clear();
  }
}

void Executor::State::replace_operators() {
  for (const auto& op : plan.operators) {
    if (!op->can_write_state()) continue;
    state::StateWriter writer;
    op->write_state(&writer);
    const state::Snapshot whole = writer.finish();
    std::vector<state::Snapshot> parts;
    for (int part = 0; part < options.restored_parts; ++part) {
      parts.push_back(state::select(
          whole, state::key_group_range(part, options.restored_parts, writer.max_parallelism())));
    }
    op->read_state(state::StateReader(std::move(parts)), {});
  }
}

bool Executor::State::complete_unions() {
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    if (due[i] == 0) continue;
    const PlannedGroup& group = plan.groups[i];
    UnionOperator* op = group.unions[group.unions.size() - due[i]];
    op->complete(serial);
    const int64_t watermark = group.reader->scope_watermark(op->scope());
    if (watermark != windows::kMinWatermark) op->advance(watermark, serial);
    op->flush(serial);
    --due[i];
    return true;
  }
  return false;
}

bool Executor::State::is_group_done(const PlannedGroup& group) const {
  return std::all_of(group.sources.begin(), group.sources.end(),
                     [this](size_t source) { return is_source_done[source]; });
}

void Executor::State::drain_stages() {
  // What comes back from Python is taken by the window now.
  if (has_clocks) serial.now_ms = clock.now_ms();
  for (const auto& stage : plan.stages) {
    stage.op->drain(serial);
    stage.op->flush(serial);
  }
}

bool Executor::State::has_pending() const {
  return std::any_of(plan.stages.begin(), plan.stages.end(),
                     [](const auto& stage) { return !stage.op->is_empty(); });
}

bool Executor::State::is_finished() const {
  return std::all_of(is_source_done.begin(), is_source_done.end(), [](bool done) { return done; });
}

// A timer fires when its millisecond is over.
int64_t Executor::State::until_next_timer_us() const {
  int64_t least_us = INT64_MAX;
  const int64_t now_us = clock.now_us();
  for (const PlannedGroup& group : plan.groups) {
    for (const ProcessingTimeOperator* op : group.clocks) {
      const std::optional<int64_t> next = op->next_timer();
      int64_t left_us = 0;
      if (!next || __builtin_mul_overflow(*next + 1, int64_t{1000}, &left_us) ||
          __builtin_sub_overflow(left_us, now_us, &left_us)) {
        continue;  // farther away than any wait
      }
      least_us = std::min(least_us, std::max<int64_t>(left_us, 0));
    }
  }
  return least_us;
}

void Executor::State::wait(int64_t budget_us) const {
  std::vector<std::shared_ptr<storage::Partition>> partitions;
  std::vector<int64_t> offsets;
  const storage::Log* log = nullptr;
  int64_t slice_us = kWaitSliceUs;
  for (size_t i = 0; i < plan.sources.size(); ++i) {
    const TopicReader* topic = plan.sources[i].topic;
    if (is_source_done[i] || topic == nullptr) continue;
    if (topic->spec().bounded) slice_us = kOrderWaitSliceUs;
    if (log == nullptr) log = topic->spec().log.get();
    if (log != topic->spec().log.get()) {
      // Several logs have no common wake-up: look at the others soon.
      slice_us = kOrderWaitSliceUs;
      continue;
    }
    partitions.insert(partitions.end(), topic->spec().partitions.begin(),
                      topic->spec().partitions.end());
    offsets.insert(offsets.end(), topic->wait_offsets().begin(), topic->wait_offsets().end());
  }
  slice_us = std::min({budget_us, slice_us, until_next_timer_us()});
  if (log != nullptr && slice_us > 0) log->wait_any(partitions, offsets, slice_us);
}

RunStatus Executor::State::run(int64_t budget_us) {
  const auto deadline = Clock::now() + std::chrono::microseconds(budget_us);
  for (;;) {
    // What is due in a group waits for the stages above it: for all, to keep it simple.
    do {
      drain_stages();
    } while (!has_pending() && complete_unions());
    if (stop.is_requested()) {
      final_status = RunStatus::kStopped;
      return *final_status;
    }
    if (has_pending()) return RunStatus::kPending;
    end_rounds();
    if (options.restored_parts > 0) replace_operators();
    if (is_finished()) {
      final_status = RunStatus::kFinished;
      return *final_status;
    }
    bool had_any = false;
    for (size_t i = 0; i < plan.groups.size(); ++i) {
      if (is_group_done(plan.groups[i])) continue;
      // A group that waits goes on as soon as those behind it have nothing to read: at once.
      had_any |= alignment.holds(i, is_source_done) || run_round(i);
    }
    if (!alignment.is_empty()) alignment.note_drift(is_source_done);
    const auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now());
    if (had_any && left.count() > 0) continue;
    if (had_any) {
      // What the last round brought is seen by the next call, at once.
      return has_pending() ? RunStatus::kPending : RunStatus::kBudget;
    }
    if (left.count() <= 0) return RunStatus::kIdle;
    wait(left.count());
  }
}

const PlannedSource& Executor::State::source_at(int node) const {
  for (const PlannedSource& source : plan.sources) {
    if (source.node == node) return source;
  }
  throw Error(ErrorCode::kConfig,
              "node " + std::to_string(node) +
                  " is not a source. Pass what the graph's add_ call returned.");
}

Executor::Executor(const Graph& graph, const ExecutorOptions& options) {
  check_options(options);
  state_ = std::make_unique<State>(graph, options);
}

Executor::~Executor() = default;

RunStatus Executor::run(int64_t budget_us, const std::function<bool()>& is_interrupted) {
  if (state_->has_failed) {
    throw Error(ErrorCode::kClosed, "the job has failed. Start it again with a new executor.");
  }
  if (state_->final_status) return *state_->final_status;
  const StopSignal::Polling polling(&state_->stop, &is_interrupted);
  try {
    return state_->run(budget_us);
  } catch (const StopRequested&) {
    state_->final_status = RunStatus::kStopped;
    return RunStatus::kStopped;
  } catch (...) {
    state_->has_failed = true;
    throw located_error(std::current_exception(), state_->serial.current, state_->serial_batch);
  }
}

std::vector<int> Executor::pending() const {
  std::vector<int> nodes;
  for (const auto& stage : state_->plan.stages) {
    if (stage.op->has_input()) nodes.push_back(stage.node);
  }
  return nodes;
}

std::optional<RecordBatch> Executor::take(int node) {
  return find_stage<PythonStageOperator>(state_->plan, node).take();
}

void Executor::give(int node, std::vector<RecordBatch> outputs) {
  find_stage<PythonStageOperator>(state_->plan, node).give(std::move(outputs));
}

bool Executor::run_trigger(int node) {
  auto& stage = find_stage<TriggerStageOperator>(state_->plan, node);
  try {
    return stage.run();
  } catch (const StopRequested&) {
    state_->final_status = RunStatus::kStopped;
    return false;
  } catch (const Error&) {
    state_->has_failed = true;
    throw located_error(std::current_exception(), &stage, nullptr);
  } catch (...) {
    state_->has_failed = true;
    throw;
  }
}

std::vector<RecordBatch> Executor::take_collected(int node) {
  return find_node(state_->plan.collects, node, "collect")->take_all();
}

void Executor::request_stop() { state_->stop.request(); }

std::vector<MetricsSnapshot> Executor::metrics() const {
  std::vector<MetricsSnapshot> readings;
  for (const auto& op : state_->plan.operators) readings.push_back(op->snapshot());
  return readings;
}

std::vector<std::string> Executor::columns_read(int node) const {
  return state_->source_at(node).columns;
}

std::vector<int64_t> Executor::positions(int node) const {
  return state_->source_at(node).reader->positions();
}

}  // namespace pystream::runtime
