#include "runtime/watermark.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "columns/builder.hpp"

namespace pystream::runtime {
namespace {

using windows::kMaxWatermark;
using windows::kMinWatermark;

Array times_of(const std::vector<int64_t>& times) {
  FixedBuilder<int64_t> builder(DataType::timestamp(TimeUnit::kMilli));
  for (const int64_t time : times) builder.append(time);
  return builder.finish();
}

std::vector<int64_t> values_of(const Buffer& buffer) {
  return {buffer.as<int64_t>(), buffer.as<int64_t>() + buffer.size / 8};
}

TEST(Watermark, IsOneTickBelowTheMaximumLessTheDelay) {
  EXPECT_EQ(watermark_of(15'000, 5'000), 9'999);
  EXPECT_EQ(watermark_of(-1, 0), -2);
}

TEST(Watermark, StaysAtTheMinimumWithoutRecordsAndNeverWraps) {
  EXPECT_EQ(watermark_of(kMinWatermark, 0), kMinWatermark);
  EXPECT_EQ(watermark_of(kMinWatermark + 1, 0), kMinWatermark);
  EXPECT_EQ(watermark_of(kMinWatermark + 5, 100), kMinWatermark);
  EXPECT_EQ(watermark_of(kMinWatermark + 6, 5), kMinWatermark);
  EXPECT_EQ(watermark_of(kMinWatermark + 7, 5), kMinWatermark + 1);
  EXPECT_EQ(watermark_of(0, kMaxWatermark), kMinWatermark);
  EXPECT_EQ(watermark_of(kMaxWatermark, kMaxWatermark), -1);
}

TEST(WatermarkTracker, PartitionWithoutARecordHoldsTheWatermark) {
  WatermarkTracker tracker(2, 10);
  EXPECT_EQ(tracker.observe(0, 100, 200).after, kMinWatermark);
  EXPECT_EQ(tracker.current(), kMinWatermark);
  const BatchWatermarks marks = tracker.observe(1, 50, 150);
  EXPECT_EQ(marks.before, kMinWatermark);
  EXPECT_EQ(marks.others, 200);
  EXPECT_EQ(marks.after, 139);
  EXPECT_EQ(tracker.current(), 139);
}

TEST(WatermarkTracker, OlderBatchDoesNotMoveItBack) {
  WatermarkTracker tracker(1, 0);
  tracker.observe(0, 100, 200);
  const BatchWatermarks marks = tracker.observe(0, 10, 20);
  EXPECT_EQ(marks.before, 199);
  EXPECT_EQ(marks.after, 199);
  EXPECT_EQ(marks.minimum, 10);
}

WatermarkTracker idle_tracker(int partitions, int64_t timeout_us, bool advances) {
  WatermarkTracker tracker(partitions, 0);
  tracker.set_idleness({timeout_us, advances}, DataType::timestamp(TimeUnit::kMicro));
  return tracker;
}

TEST(WatermarkTracker, IdlePartitionIsLeftOutAndReturnsBelowTheWatermark) {
  WatermarkTracker tracker = idle_tracker(2, 10, false);
  tracker.observe(0, 100, 100, 1'000);
  EXPECT_EQ(tracker.observe(0, 200, 200, 1'010).before, kMinWatermark);
  EXPECT_EQ(tracker.observe(0, 300, 300, 1'011).before, 199);  // 1 is idle
  const BatchWatermarks back = tracker.observe(1, 50, 60, 1'012);
  EXPECT_EQ(back.before, 299);
  EXPECT_EQ(back.after, 299);
  EXPECT_EQ(tracker.current(), 299);
  int64_t own = back.own_before;
  EXPECT_EQ(values_of(row_watermarks(times_of({50, 60}), &own, back.others, 0)),
            (std::vector<int64_t>{299, 299}));
  EXPECT_EQ(tracker.observe(1, 400, 400, 1'013).after, 299);
  EXPECT_EQ(tracker.observe(0, 500, 500, 1'014).after, 399);
}

TEST(WatermarkTracker, PartitionsThatBecomeIdleAtOnceDoNotMoveIt) {
  WatermarkTracker tracker = idle_tracker(2, 10, false);
  tracker.observe(0, 100, 100, 1'000);
  tracker.observe(1, 900, 900, 1'000);
  EXPECT_FALSE(tracker.pass_idle_time(5'000));
  EXPECT_EQ(tracker.current(), 99);
}

TEST(WatermarkTracker, APartitionWithoutABatchIsIdleBeforeTheOthersOfTheMoment) {
  for (const bool advances : {false, true}) {
    WatermarkTracker tracker = idle_tracker(2, 10, advances);
    tracker.observe(0, 100, 100, 1'000);
    EXPECT_FALSE(tracker.pass_idle_time(1'010));
    EXPECT_EQ(tracker.current(), kMinWatermark);
    EXPECT_TRUE(tracker.pass_idle_time(1'015));
    EXPECT_EQ(tracker.current(), advances ? 104 : 99);
  }
}

TEST(WatermarkTracker, ItFollowsTheClockWhenAllAreIdleIfAsked) {
  WatermarkTracker tracker = idle_tracker(1, 10, true);
  EXPECT_FALSE(tracker.pass_idle_time(500));  // nothing has begun
  tracker.observe(0, 100, 100, 1'000);
  EXPECT_FALSE(tracker.pass_idle_time(1'010));
  EXPECT_TRUE(tracker.pass_idle_time(1'013));
  EXPECT_EQ(tracker.current(), 102);
  EXPECT_FALSE(tracker.pass_idle_time(1'011));  // a clock that goes back
  EXPECT_EQ(tracker.current(), 102);
  EXPECT_EQ(tracker.observe(0, 101, 104, 1'014).before, 103);
  EXPECT_EQ(tracker.current(), 103);
  EXPECT_TRUE(tracker.pass_idle_time(INT64_MAX));
  EXPECT_GT(tracker.current(), int64_t{1} << 62);
}

TEST(RowWatermarks, ARowSeesOnlyRowsBeforeIt) {
  int64_t own = kMinWatermark;
  const Buffer rows = row_watermarks(times_of({10, 30, 20}), &own, kMaxWatermark, 5);
  EXPECT_EQ(values_of(rows), (std::vector<int64_t>{kMinWatermark, 4, 24}));
  EXPECT_EQ(own, 30);
}

TEST(RowWatermarks, OtherPartitionsCapThem) {
  int64_t own = 100;
  EXPECT_EQ(values_of(row_watermarks(times_of({200, 300}), &own, 50, 0)),
            (std::vector<int64_t>{49, 49}));
  own = 100;
  EXPECT_EQ(values_of(row_watermarks(times_of({200, 300}), &own, kMinWatermark, 0)),
            (std::vector<int64_t>{kMinWatermark, kMinWatermark}));
}

TEST(RowWatermarks, WorkOnDates) {
  FixedBuilder<int32_t> builder(DataType::of(TypeId::kDate32));
  for (const int32_t day : {10, -5, 12}) builder.append(day);
  int64_t own = kMinWatermark;
  const Array days = builder.finish();
  EXPECT_EQ(values_of(row_watermarks(days, &own, kMaxWatermark, 0)),
            (std::vector<int64_t>{kMinWatermark, 9, 9}));
  EXPECT_EQ(extremes_of(days).minimum, -5);
  EXPECT_EQ(extremes_of(days).maximum, 12);
}

TEST(KeepsToDelay, IsTrueExactlyWhenNoRowIsAtOrBelowItsWatermark) {
  std::mt19937_64 random(5);
  int held = 0;
  for (int round = 0; round < 2000; ++round) {
    const int64_t delay = static_cast<int64_t>(random() % 60);
    std::vector<int64_t> times(random() % 200 + 1);
    int64_t now = static_cast<int64_t>(random() % 1000) - 500;
    for (int64_t& time : times) time = ++now - static_cast<int64_t>(random() % 40);
    const int64_t before = random() % 2 ? kMinWatermark : times[0] + 20;
    bool expected = true;
    int64_t largest = before;
    for (const int64_t time : times) {
      expected &= largest == kMinWatermark || time > watermark_of(largest, delay);
      largest = std::max(largest, time);
    }
    int64_t own = before;
    ASSERT_EQ(keeps_to_delay(times_of(times), &own, delay), expected) << "round " << round;
    ASSERT_EQ(own, expected ? largest : before) << "round " << round;
    held += expected;
  }
  EXPECT_GT(held, 200);
  EXPECT_LT(held, 1800);
}

TEST(KeepsToDelay, DoesNotOverflow) {
  int64_t own = kMaxWatermark;
  EXPECT_FALSE(keeps_to_delay(times_of({kMinWatermark + 1}), &own, kMaxWatermark));
  own = 0;
  EXPECT_TRUE(keeps_to_delay(times_of({kMinWatermark + 1}), &own, kMaxWatermark));
  FixedBuilder<int32_t> days(DataType::of(TypeId::kDate32));
  for (int32_t day = 0; day < 100; ++day) days.append(day);
  EXPECT_TRUE(keeps_to_delay(days.finish(), &own, 0));
  EXPECT_EQ(own, 99);
}

// The definition, record by record, against trackers fed with arbitrary cuts.
TEST(RowWatermarks, EqualTheDefinitionWhateverTheCuts) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    const int partitions = static_cast<int>(random() % 3) + 1;
    const int64_t delay = static_cast<int64_t>(random() % 20);
    WatermarkTracker tracker(partitions, delay);
    std::vector<int64_t> maxima(static_cast<size_t>(partitions), kMinWatermark);
    for (int batch = 0; batch < 10; ++batch) {
      const auto partition = static_cast<size_t>(random() % static_cast<uint64_t>(partitions));
      std::vector<int64_t> times(random() % 9 + 1);
      for (int64_t& time : times) time = static_cast<int64_t>(random() % 200) - 100;
      std::vector<int64_t> expected;
      for (const int64_t time : times) {
        expected.push_back(watermark_of(*std::min_element(maxima.begin(), maxima.end()), delay));
        maxima[partition] = std::max(maxima[partition], time);
      }
      const auto [low, high] = std::minmax_element(times.begin(), times.end());
      const BatchWatermarks marks = tracker.observe(static_cast<int>(partition), *low, *high);
      const size_t cut = random() % (times.size() + 1);
      int64_t own = marks.own_before;
      std::vector<int64_t> got;
      for (const auto& part :
           {std::vector<int64_t>(times.begin(), times.begin() + static_cast<int64_t>(cut)),
            std::vector<int64_t>(times.begin() + static_cast<int64_t>(cut), times.end())}) {
        const auto values = values_of(row_watermarks(times_of(part), &own, marks.others, delay));
        got.insert(got.end(), values.begin(), values.end());
      }
      ASSERT_EQ(got, expected) << "round " << round << " batch " << batch;
      ASSERT_EQ(marks.before, expected.front());
      ASSERT_EQ(marks.after, watermark_of(*std::min_element(maxima.begin(), maxima.end()), delay));
      ASSERT_EQ(tracker.current(), marks.after);
    }
  }
}

}  // namespace
}  // namespace pystream::runtime
