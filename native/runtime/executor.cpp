#include "runtime/executor.hpp"

#include <utility>

#include "base/error.hpp"
#include "runtime/executor_rounds.hpp"
#include "runtime/operator_error.hpp"

namespace pystream::runtime {

namespace {

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

[[noreturn]] void fail_stopped() {
  throw Error(ErrorCode::kClosed,
              "the job was stopped, which may be within a round. Take a snapshot before that.");
}

}  // namespace

Executor::Executor(const Graph& graph, const ExecutorOptions& options,
                   const std::vector<JobSnapshot>& restored) {
  check_options(options);
  state_ = std::make_unique<State>(graph, options, restored);
}

Executor::~Executor() = default;

std::optional<JobSnapshot> Executor::snapshot() {
  State& state = *state_;
  if (state.has_failed) {
    throw Error(ErrorCode::kClosed,
                "the job has failed: it has no state any more. Go on from an earlier snapshot.");
  }
  if (state.stop.is_requested()) fail_stopped();
  try {
    if (!state.settle()) return std::nullopt;
  } catch (const StopRequested&) {
    state.final_status = RunStatus::kStopped;
    fail_stopped();
  } catch (...) {
    state.has_failed = true;
    throw located_error(std::current_exception(), state.serial.current, state.serial_batch);
  }
  for (const auto& collect : state.plan.collects) {
    if (!collect.op->is_empty()) return std::nullopt;
  }
  return write_job(state.plan, {state.arrivals, state.options.turn_rows, state.clock.latest_ms()});
}

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
