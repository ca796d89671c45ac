#include "runtime/executor_rounds.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "runtime/operator_error.hpp"

namespace pystream::runtime {

namespace {

using Clock = std::chrono::steady_clock;

// A wait ends this often to look whether the job is to stop.
constexpr int64_t kWaitSliceUs = 20'000;
// A bounded source that waits, waits only for a writer that is between taking its place in the
// order and publishing.
constexpr int64_t kOrderWaitSliceUs = 1'000;

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

}  // namespace

Executor::State::State(const Graph& graph, const ExecutorOptions& given,
                       const std::vector<JobSnapshot>& restored)
    : options(aligned(given)),
      plan(make_plan(graph, options, !restored.empty())),
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
  if (!restored.empty()) restore(restored);
}

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

void Executor::State::restore(const std::vector<JobSnapshot>& parts) {
  JobProgress progress{0, options.turn_rows, 0};
  read_job(parts, &plan, &progress);
  arrivals = progress.arrivals;
  clock.restore(progress.clock_ms);
  for (size_t i = 0; i < plan.sources.size(); ++i) {
    is_source_done[i] = plan.sources[i].reader->has_ended();
  }
}

bool Executor::State::settle() {
  // What is due in a group waits for the stages above it: for all, to keep it simple.
  do {
    drain_stages();
  } while (!has_pending() && complete_unions());
  if (has_pending()) return false;
  end_rounds();
  return true;
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
    const bool is_settled = settle();
    if (stop.is_requested()) {
      final_status = RunStatus::kStopped;
      return *final_status;
    }
    if (!is_settled) return RunStatus::kPending;
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

}  // namespace pystream::runtime
