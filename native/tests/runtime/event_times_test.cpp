#include "runtime/event_times.hpp"

#include <gtest/gtest.h>

#include "columns/builder.hpp"
#include "windows/event_times.hpp"

namespace pystream::runtime {
namespace {

using windows::kMaxWatermark;
using windows::kMinWatermark;

const DataType kDays = DataType::of(TypeId::kDate32);
const DataType kMillis = DataType::timestamp(TimeUnit::kMilli);

DataType int64_of(TimeUnit unit) { return windows::tick_type(DataType::of(TypeId::kInt64), unit); }

TEST(TickType, IsTheColumnsOwnButForTheUnitOfAnInt64) {
  EXPECT_EQ(windows::tick_type(kMillis, TimeUnit::kNano), kMillis);
  EXPECT_EQ(windows::tick_type(kDays, TimeUnit::kNano), kDays);
  EXPECT_EQ(windows::tick_ns(int64_of(TimeUnit::kNano)), 1);
  EXPECT_EQ(windows::tick_ns(int64_of(TimeUnit::kSecond)), 1'000'000'000);
  EXPECT_EQ(windows::tick_ns(kMillis), 1'000'000);
  EXPECT_EQ(windows::tick_ns(kDays), 86'400'000'000'000);
}

TEST(TicksOf, RoundDownAlsoBefore1970) {
  EXPECT_EQ(ticks_of(1'999, kMillis), 1);
  EXPECT_EQ(ticks_of(-1, kMillis), -1);
  EXPECT_EQ(ticks_of(1'999, int64_of(TimeUnit::kMilli)), 1);
  EXPECT_EQ(ticks_of(-1, int64_of(TimeUnit::kSecond)), -1);
  EXPECT_EQ(ticks_of(7, int64_of(TimeUnit::kMicro)), 7);
  EXPECT_EQ(ticks_of(7, int64_of(TimeUnit::kNano)), 7'000);
  EXPECT_EQ(ticks_of(-1, DataType::timestamp(TimeUnit::kSecond)), -1);
  EXPECT_EQ(ticks_of(7, DataType::timestamp(TimeUnit::kMicro)), 7);
  EXPECT_EQ(ticks_of(7, DataType::timestamp(TimeUnit::kNano)), 7'000);
  EXPECT_EQ(ticks_of(86'400'000'000 - 1, kDays), 0);
  EXPECT_EQ(ticks_of(-1, kDays), -1);
}

TEST(TicksOf, StayWithinTheTypeInsteadOfWrapping) {
  EXPECT_EQ(ticks_of(INT64_MAX, DataType::timestamp(TimeUnit::kNano)), INT64_MAX);
  EXPECT_EQ(ticks_of(INT64_MIN, DataType::timestamp(TimeUnit::kNano)), INT64_MIN);
  EXPECT_EQ(plus_ticks(INT64_MAX, INT64_MAX, kMillis), INT64_MAX);
}

TEST(EndOfCalendar, IsTheLastTickOfTheYear9999WhereTheTypeReachesIt) {
  EXPECT_EQ(end_of_calendar(DataType::timestamp(TimeUnit::kSecond)), 253'402'300'799);
  EXPECT_EQ(end_of_calendar(kMillis), 253'402'300'799'999);
  EXPECT_EQ(end_of_calendar(int64_of(TimeUnit::kMilli)), 253'402'300'799'999);
  EXPECT_EQ(end_of_calendar(int64_of(TimeUnit::kSecond)), 253'402'300'799);
  EXPECT_EQ(end_of_calendar(int64_of(TimeUnit::kNano)), 9'214'646'399'999'999'999);
  EXPECT_EQ(end_of_calendar(kDays), 2'932'896);
  EXPECT_EQ(end_of_calendar(DataType::timestamp(TimeUnit::kNano)), 9'214'646'399'999'999'999);
}

TEST(ProgressOf, LeavesOutWhatIsAheadOrNull) {
  FixedBuilder<int64_t> times(kMillis);
  times.append(5);
  times.append(1'000);
  times.append_null();
  times.append(100);
  const Progress progress = progress_of(times.finish(), 100);
  const auto* rows = progress.rows.data<int64_t>();
  EXPECT_EQ((std::vector<int64_t>{rows, rows + 4}),
            (std::vector<int64_t>{5, kMinWatermark, kMinWatermark, 100}));
  EXPECT_EQ(progress.maximum, 100);
  EXPECT_EQ(progress.ahead, 1);
}

TEST(ProgressOf, ReadsDates) {
  FixedBuilder<int32_t> days(kDays);
  days.append(-3);
  days.append(3'000'000);
  const Progress progress = progress_of(days.finish(), end_of_calendar(kDays));
  EXPECT_EQ(progress.rows.data<int64_t>()[0], -3);
  EXPECT_EQ(progress.maximum, -3);
  EXPECT_EQ(progress.ahead, 1);
}

}  // namespace
}  // namespace pystream::runtime
