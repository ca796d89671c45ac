// Windows that fire before they close, and triggers of the caller's own.

#include <memory>
#include <span>
#include <vector>

#include "events.hpp"
#include "kernel.hpp"
#include "window_specs.hpp"
#include "windows/pane_aggregation.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::gate {
namespace {

using windows::TriggerResult;
using windows::TriggerSpec;

const windows::EmitPanes kIgnore = [](RecordBatch&&, Buffer&&) {};

// A pane for each row, and windows that hold the last hundred rows of a key.
Work update() {
  windows::WindowAggregationSpec spec = windowed(kTenSeconds);
  spec.trigger.every = 1;
  spec.trigger.fires_on_close = false;
  return [batch = events(1000, false), spec] {
    windows::TriggeredAggregation job(spec, batch.schema);
    std::vector<int32_t> late;
    job.add(batch, windows::RowWatermarks{}, &late, kIgnore);
    job.advance(windows::kMaxWatermark, kIgnore);
  };
}

// A watermark after each round.
template <typename Job>
void run_rounds(Job* job, const std::vector<RecordBatch>& rounds) {
  std::vector<int32_t> late;
  for (const RecordBatch& rows : rounds) {
    windows::RowWatermarks watermarks;
    watermarks.all = watermark_before(rows);
    job->advance(watermarks.all, kIgnore);
    job->add(rows, watermarks, &late, kIgnore);
  }
  job->advance(windows::kMaxWatermark, kIgnore);
}

Work triggered(TriggerSpec trigger) {
  windows::WindowAggregationSpec spec = windowed({500, 500, 0});
  spec.trigger = trigger;
  return [rounds = rounds_of(events(1000, false), 4), spec] {
    windows::TriggeredAggregation job(spec, rounds[0].schema);
    run_rounds(&job, rounds);
  };
}

// Fires with every tenth row of a pane, and when its window ends.
class EveryTenth final : public windows::PaneTrigger {
 public:
  TriggerResult on_element(windows::PaneTable& panes, uint32_t pane, int64_t, int64_t) override {
    panes.register_timer(pane, panes[pane].last);
    return panes[pane].taken % 10 == 0 ? TriggerResult::kFire : TriggerResult::kContinue;
  }
  TriggerResult on_event_time(windows::PaneTable& panes, uint32_t pane, int64_t time) override {
    return time == panes[pane].last ? TriggerResult::kFireAndPurge : TriggerResult::kContinue;
  }
  void on_merge(windows::PaneTable& panes, uint32_t target, std::span<const uint32_t>) override {
    panes.register_timer(target, panes[target].last);
  }
  void clear(windows::PaneTable&, uint32_t) override {}
};

using Windows = decltype(windows::PaneAggregationSpec::windows);

windows::PaneAggregationSpec panes_of(Windows windows, TriggerSpec trigger) {
  windows::PaneAggregationSpec spec;
  spec.windows = windows;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  spec.trigger = trigger;
  return spec;
}

Work panes(Windows windows, TriggerSpec trigger) {
  return [rounds = rounds_of(events(1000, false), 4), spec = panes_of(windows, trigger)] {
    windows::PaneAggregation job(spec, rounds[0].schema);
    run_rounds(&job, rounds);
  };
}

Work own_trigger(Windows windows) {
  windows::PaneAggregationSpec spec = panes_of(windows, {});
  spec.own_trigger = std::make_shared<EveryTenth>();
  return [rounds = rounds_of(events(1000, false), 4), spec] {
    windows::PaneAggregation job(spec, rounds[0].schema);
    run_rounds(&job, rounds);
  };
}

}  // namespace

std::vector<Kernel> trigger_kernels() {
  const TriggerSpec by_count = {100, 0, true, false};
  const TriggerSpec by_time = {0, 10, true, false};
  const TriggerSpec discarding = {100, 0, true, true};
  const TriggerSpec on_update = {1, 0, false, false};
  const windows::WindowSpec fixed = {500, 500, 0};
  windows::SessionSpec session;
  session.gap = 20;
  return {
      {"window_on_update", update},
      {"window_early_count", [=] { return triggered(by_count); }},
      {"window_early_time", [=] { return triggered(by_time); }},
      {"window_discarding", [=] { return triggered(discarding); }},
      {"window_own_trigger", [=] { return own_trigger(fixed); }},
      {"window_session_early", [=] { return panes(session, by_time); }},
      {"window_session_own_trigger", [=] { return own_trigger(session); }},
      {"window_global_early", [=] { return panes(windows::GlobalSpec{}, by_count); }},
      {"window_count_on_update", [=] { return panes(windows::CountedSpec{100}, on_update); }},
  };
}

}  // namespace pystream::gate
