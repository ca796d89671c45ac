#pragma once
// Aggregations of each kind, small, for the tests of their snapshots.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "snapshot_streams.hpp"
#include "windows/count_aggregation.hpp"
#include "windows/pane_aggregation.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/triggered_aggregation.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

inline SchemaPtr input_schema() {
  Random random(1);
  int64_t clock = 0;
  return random_rows(&random, 0, 1, &clock, 1).schema;
}

// The differences between aggregations, but for that between threads.
template <typename Aggregation, typename Spec>
class Windows final : public Instance {
 public:
  explicit Windows(const Spec& spec) : aggregation_(spec, input_schema()) {}

  void add(const RecordBatch& rows, const RowWatermarks& watermarks) override {
    std::vector<int32_t> late;
    if constexpr (std::is_same_v<Aggregation, CountAggregation>) {
      aggregation_.add(rows, watermarks, emit());
    } else {
      aggregation_.add(rows, watermarks, &late, emit());
    }
    note_late(rows, late);
  }
  void advance(int64_t watermark) override {
    if constexpr (!std::is_same_v<Aggregation, CountAggregation>) {
      aggregation_.advance(watermark, emit());
    }
  }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }

 private:
  auto emit() {
    return [this](RecordBatch&& rows, auto&&) { note(rows); };
  }
  Aggregation aggregation_;
};

// A trigger as callers write them: each so many records it fires, and lets go each other time.
class EveryFew final : public PaneTrigger {
 public:
  explicit EveryFew(int64_t few) : few_(few) {}

  std::string name() const override { return "EveryFew(" + std::to_string(few_) + ")"; }
  TriggerResult on_element(PaneTable& panes, uint32_t pane, int64_t, int64_t) override {
    panes.register_timer(pane, panes[pane].last);
    const int64_t seen = ++seen_[pane];
    if (seen % few_ != 0) return TriggerResult::kContinue;
    return seen / few_ % 2 == 0 ? TriggerResult::kFireAndPurge : TriggerResult::kFire;
  }
  TriggerResult on_event_time(PaneTable&, uint32_t pane, int64_t) override {
    return seen_[pane] % 2 == 0 ? TriggerResult::kFire : TriggerResult::kContinue;
  }
  void on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) override {
    int64_t seen = 0;
    for (const uint32_t pane : merged) seen += std::exchange(seen_[pane], 0);
    seen_[target] = seen;
    panes.register_timer(target, panes[target].last);
  }
  void clear(PaneTable&, uint32_t pane) override { seen_.erase(pane); }
  std::vector<Field> state_fields() const override {
    return {{"seen", DataType::of(TypeId::kInt64), false}};
  }
  std::vector<Array> snapshot(const PaneTable&, std::span<const uint32_t> panes) const override {
    FixedBuilder<int64_t> seen(DataType::of(TypeId::kInt64));
    for (const uint32_t pane : panes) seen.append(seen_.at(pane));
    return {seen.finish()};
  }
  void restore(PaneTable&, std::span<const uint32_t> panes,
               std::span<const Array> columns) override {
    for (size_t i = 0; i < panes.size(); ++i) {
      seen_[panes[i]] = columns[0].data<int64_t>()[i];
    }
  }
  void forget_all() override { seen_.clear(); }

 private:
  int64_t few_;
  std::map<uint32_t, int64_t> seen_;
};

class FixedWindows final : public Instance {
 public:
  FixedWindows(const WindowAggregationSpec& spec, int threads)
      : aggregation_(spec, input_schema(), threads), threads_(threads) {}

  void add(const RecordBatch& rows, const RowWatermarks& watermarks) override {
    std::vector<int32_t> late, behind;
    aggregation_.add(next_++ % threads_, rows, watermarks, &late, &behind);
    note_late(rows, late);
    if (behind.empty()) return;
    RowWatermarks taken;
    MutableBuffer seen, arrivals;
    for (const int32_t row : behind) {
      const int64_t arrival = watermarks.first_arrival + row;
      seen.append(watermarks.per_row.as<int64_t>() + row, 8);
      arrivals.append(&arrival, 8);
    }
    taken.per_row = seen.freeze();
    taken.arrivals = arrivals.freeze();
    aggregation_.add_behind(
        rows.take(behind), taken, [this](RecordBatch&& out) { note(out); },
        [this](RecordBatch&& out, Buffer&&) { note(out); });
  }
  void advance(int64_t watermark) override {
    aggregation_.advance(watermark, [this](RecordBatch&& rows) { note(rows); });
  }
  void snapshot(state::StateWriter* writer) override { aggregation_.snapshot(writer); }
  void restore(const state::StateReader& reader, state::KeyGroupRange range) override {
    aggregation_.restore(reader, range);
  }

 private:
  WindowAggregation aggregation_;
  int threads_;
  int next_ = 0;
};

inline WindowAggregationSpec fixed(WindowSpec window) {
  WindowAggregationSpec spec;
  spec.window = window;
  return spec;
}

inline CountAggregationSpec counted(int64_t size, int64_t slide) {
  CountAggregationSpec spec;
  spec.size = size;
  spec.slide = slide;
  return spec;
}

using PaneWindows = decltype(PaneAggregationSpec::windows);

inline PaneAggregationSpec panes_of(const PaneWindows& windows) {
  PaneAggregationSpec spec;
  spec.windows = windows;
  return spec;
}

inline std::vector<AggregateSpec> few_aggregates() {
  return {{AggregateKind::kCountAll, -1, "n"},
          {AggregateKind::kSum, 3, "sum"},
          {AggregateKind::kMin, 5, "min"},
          {AggregateKind::kMax, 6, "max"},
          {AggregateKind::kLast, 10, "last"}};
}

template <typename Spec>
Spec with_columns(Spec spec, const std::vector<int>& keys = {0}) {
  spec.key_columns = keys;
  spec.event_time_column = 2;
  spec.aggregates = all_aggregates();
  return spec;
}

}  // namespace pystream::windows
