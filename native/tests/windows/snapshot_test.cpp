// Operators that are replaced by others out of their snapshots, at random points of random streams,
// with more instances or fewer: what they emit is what one that was never interrupted emits.

#include <gtest/gtest.h>

#include <memory>

#include "snapshot_instances.hpp"

namespace pystream::windows {
namespace {

void check_fixed(WindowSpec window, StreamOptions options, int threads, int64_t lateness,
                 uint64_t seeds) {
  WindowAggregationSpec spec = with_columns(fixed(window), options.keys);
  spec.allowed_lateness = lateness;
  // Many slices: what is kept beside the rows would take most of the time.
  if (window.size > 12 * window.slide) spec.aggregates = few_aggregates();
  expect_same_when_restored([&] { return std::make_unique<FixedWindows>(spec, threads); }, options,
                            seeds);
}

TEST(Snapshots, TumblingWindows) {
  check_fixed({100, 100}, {}, 1, 0, 8);
  check_fixed({50, 50, 7}, {}, 2, 0, 4);
}

TEST(Snapshots, OfOneInstanceKeepEveryBitOfFloats) {
  StreamOptions options;
  options.counts = {1};
  options.distinct_keys = 4;
  check_fixed({100, 100}, options, 1, 0, 6);
  check_fixed({60, 4}, options, 1, 0, 3);
}

TEST(Snapshots, WindowsOfNoKeyAndOfTwo) {
  StreamOptions options;
  options.keys = {};
  check_fixed({100, 100}, options, 1, 0, 4);
  options.keys = {0, 1};
  check_fixed({100, 100}, options, 2, 0, 4);
}

TEST(Snapshots, HoppingAndCumulativeWindows) {
  check_fixed({100, 30}, {}, 1, 0, 5);
  check_fixed({120, 10}, {}, 1, 0, 3);
  check_fixed({120, 10}, {}, 3, 0, 2);
  check_fixed({120, 20, 0, true}, {}, 1, 0, 4);
}

// Of many slices with the same keys, which are merged in two stacks.
TEST(Snapshots, StackedSlices) {
  StreamOptions options;
  options.batches = 60;
  options.distinct_keys = 3;
  check_fixed({60, 4}, options, 1, 0, 4);
  check_fixed({60, 4}, options, 2, 25, 2);
}

TEST(Snapshots, WindowsThatHaveFiredAndTakeRows) {
  check_fixed({60, 60}, {}, 1, 50, 5);
  check_fixed({60, 20}, {}, 2, 50, 3);
}

// Rows that are late for some of their windows alone.
TEST(Snapshots, RowsThatAreLateForSomeWindows) {
  StreamOptions options;
  options.bound = 3;
  check_fixed({90, 10}, options, 1, 0, 3);
  check_fixed({90, 10}, options, 2, 30, 2);
}

TEST(Snapshots, Sessions) {
  for (const int64_t lateness : {0, 60}) {
    SessionAggregationSpec spec = with_columns(SessionAggregationSpec{});
    spec.session.gap = 15;
    spec.session.allowed_lateness = lateness;
    StreamOptions options;
    options.bound = 10;
    using Sessions = Windows<SessionAggregation, SessionAggregationSpec>;
    expect_same_when_restored([&] { return std::make_unique<Sessions>(spec); }, options, 5);
  }
}

TEST(Snapshots, CountWindows) {
  using Counted = Windows<CountAggregation, CountAggregationSpec>;
  for (const auto& [size, slide] :
       std::vector<std::pair<int64_t, int64_t>>{{5, 5}, {7, 3}, {4, 1}}) {
    CountAggregationSpec spec = with_columns(counted(size, slide));
    expect_same_when_restored([&] { return std::make_unique<Counted>(spec); }, {}, 3);
  }
  // In two stacks, which are for aggregates without side states.
  CountAggregationSpec spec = with_columns(counted(20, 1));
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"},
                     {AggregateKind::kSum, 3, "sum"},
                     {AggregateKind::kMin, 5, "min"},
                     {AggregateKind::kMax, 6, "max"}};
  expect_same_when_restored([&] { return std::make_unique<Counted>(spec); }, {}, 12);
}

const std::vector<TriggerSpec> kTriggers = {
    {3, 0, true, false}, {0, 16, true, false}, {2, 24, false, true}, {0, 0, true, true}};

TEST(Snapshots, WindowsWithTriggers) {
  using Triggered = Windows<TriggeredAggregation, WindowAggregationSpec>;
  for (const TriggerSpec& trigger : kTriggers) {
    for (const int64_t lateness : {0, 40}) {
      WindowAggregationSpec spec = with_columns(fixed({90, 30}));
      spec.trigger = trigger;
      spec.allowed_lateness = lateness;
      expect_same_when_restored([&] { return std::make_unique<Triggered>(spec); }, {}, 1);
    }
  }
}

const std::vector<PaneWindows> kPaneWindows = {WindowSpec{90, 30}, SessionSpec{15}, CountedSpec{6},
                                               GlobalSpec{}};

TEST(Snapshots, PanesOfEveryKind) {
  using Panes = Windows<PaneAggregation, PaneAggregationSpec>;
  for (const auto& kind : kPaneWindows) {
    for (const TriggerSpec& trigger : kTriggers) {
      PaneAggregationSpec spec = with_columns(panes_of(kind));
      spec.trigger = trigger;
      spec.allowed_lateness = 20;
      expect_same_when_restored([&] { return std::make_unique<Panes>(spec); }, {}, 1);
    }
  }
}

TEST(Snapshots, TriggersOfOnesOwn) {
  using Panes = Windows<PaneAggregation, PaneAggregationSpec>;
  for (const auto& kind : kPaneWindows) {
    PaneAggregationSpec spec = with_columns(panes_of(kind));
    spec.allowed_lateness = 20;
    const auto make = [&] {
      spec.own_trigger = std::make_shared<EveryFew>(3);
      return std::make_unique<Panes>(spec);
    };
    expect_same_when_restored(make, {}, 3);
  }
}

}  // namespace
}  // namespace pystream::windows
