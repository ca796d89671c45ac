#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "runtime/count_window_operator.hpp"
#include "runtime/planner.hpp"
#include "runtime/session_operator.hpp"
#include "runtime/trigger_stage.hpp"
#include "runtime/triggered_operator.hpp"
#include "runtime/window_operator.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::runtime {

// A window's columns by their index in the edge, and what it does around its aggregation.
template <typename Aggregation>
WindowInput::Plan Planner::plan_window(Aggregation* aggregation, int64_t event_time_offset) {
  const Edge& in = input();
  for (int& key : aggregation->key_columns) key = to_input(key);
  int& time = aggregation->event_time_column;
  if (time >= 0) {
    time = to_input(time);
    need_event_times(in, in.schema->fields[static_cast<size_t>(time)].name);
  }
  for (auto& aggregate : aggregation->aggregates) {
    if (aggregate.input >= 0) aggregate.input = to_input(aggregate.input);
    if (aggregate.by >= 0) aggregate.by = to_input(aggregate.by);
    for (int& other : aggregate.others) other = to_input(other);
  }
  WindowInput::Plan plan;
  plan.schema = in.schema;
  plan.event_time_column = time;
  plan.event_time_offset = event_time_offset;
  plan.late_columns = kept_columns(*in.schema, kLateOutput);
  plan.late_schema = select(*in.schema, plan.late_columns);
  output(0).schema = node().outputs[0];
  output(0).sources = in.sources;
  output(kLateOutput).schema = plan.late_schema;
  output(kLateOutput).sources = in.sources;
  return plan;
}

std::unique_ptr<Operator> Planner::make(const WindowSpec& spec) {
  const Edge& in = input();
  auto aggregation = spec.aggregation;
  WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
  if (!aggregation.trigger.is_plain()) {
    // What the watermark fires comes before the very row that saw it.
    need_row_watermarks(in);
    return std::make_unique<TriggeredOperator<windows::TriggeredAggregation>>(
        node().name, "window", std::move(plan), aggregation);
  }
  output(kLateOutput) = in;  // late rows leave where they come in
  output(kLateOutput).schema = plan.late_schema;
  const std::string& time =
      in.schema->fields[static_cast<size_t>(aggregation.event_time_column)].name;
  const bool is_source_time = in.event_times.contains(time) && spec.event_time_offset == 0;
  auto window = std::make_unique<WindowOperator>(node().name, std::move(plan),
                                                 std::move(aggregation), in.threads);
  if (!is_source_time) {
    need_row_watermarks(in);
  } else if (in.is_parallel) {
    for (const int source : in.sources) {
      source_plans_[static_cast<size_t>(source)].windows.push_back(window.get());
    }
  }
  return window;
}

std::unique_ptr<Operator> Planner::make(const SessionWindowSpec& spec) {
  auto aggregation = spec.aggregation;
  WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
  int& gap = aggregation.session.gap_column;
  if (gap >= 0) gap = to_input(gap);
  // Whether a record meets a session before or after it fired depends on the very watermark.
  need_row_watermarks(input());
  return std::make_unique<SessionOperator>(node().name, std::move(plan), std::move(aggregation));
}

std::unique_ptr<Operator> Planner::make(const CountWindowSpec& spec) {
  auto aggregation = spec.aggregation;
  WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
  // What comes out carries the watermark of the record that completed it.
  need_row_watermarks(input());
  return std::make_unique<CountWindowOperator>(node().name, std::move(plan),
                                               std::move(aggregation));
}

std::unique_ptr<Operator> Planner::make(const PaneWindowSpec& spec) {
  auto aggregation = spec.aggregation;
  WindowInput::Plan plan = plan_window(&aggregation, spec.event_time_offset);
  const char* kind = "global window";
  if (std::holds_alternative<windows::CountedSpec>(aggregation.windows)) kind = "count window";
  if (auto* session = std::get_if<windows::SessionSpec>(&aggregation.windows)) {
    kind = "session window";
    if (session->gap_column >= 0) session->gap_column = to_input(session->gap_column);
  }
  // What the watermark fires comes before the very row that saw it.
  need_row_watermarks(input());
  if (spec.trigger) {
    if (std::holds_alternative<windows::WindowSpec>(aggregation.windows)) kind = "window";
    auto stage = std::make_unique<TriggerStageOperator>(node().name, kind, std::move(plan),
                                                        std::move(aggregation), spec.trigger);
    plan_.stages.push_back({node_, stage.get()});
    return stage;
  }
  return std::make_unique<TriggeredOperator<windows::PaneAggregation>>(
      node().name, kind, std::move(plan), aggregation);
}

}  // namespace pystream::runtime
