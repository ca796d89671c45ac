#include "runtime/record_timestamps.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::runtime {
namespace {

template <typename T>
std::vector<int64_t> stamps_of(const DataType& type, const std::vector<T>& times,
                               int64_t offset = 0, TimeUnit int64_unit = TimeUnit::kMilli) {
  FixedBuilder<T> builder(type);
  for (const T time : times) builder.append(time);
  const Array stamps = record_timestamps(builder.finish(), offset, "ts", int64_unit);
  EXPECT_EQ(stamps.type.id, TypeId::kInt64);
  return {stamps.data<int64_t>(), stamps.data<int64_t>() + stamps.length};
}

using Times = std::vector<int64_t>;

TEST(RecordTimestamps, AreMicrosecondsOfAnyUnit) {
  const auto unit = [](TimeUnit of) { return DataType::timestamp(of); };
  EXPECT_EQ(stamps_of<int64_t>(unit(TimeUnit::kSecond), {2, -1}), (Times{2'000'000, -1'000'000}));
  EXPECT_EQ(stamps_of<int64_t>(unit(TimeUnit::kMilli), {2, -1}), (Times{2'000, -1'000}));
  EXPECT_EQ(stamps_of<int64_t>(unit(TimeUnit::kMicro), {2, -1}), (Times{2, -1}));
  EXPECT_EQ(stamps_of<int64_t>(unit(TimeUnit::kNano), {1999, -1, -1000, -1001}),
            (Times{1, -1, -1, -2}));
  EXPECT_EQ(stamps_of<int64_t>(DataType::of(TypeId::kInt64), {7}), (Times{7'000}));
  const auto of_int64 = [](TimeUnit unit, int64_t offset) {
    return stamps_of<int64_t>(DataType::of(TypeId::kInt64), {7'000, -1}, offset, unit);
  };
  EXPECT_EQ(of_int64(TimeUnit::kSecond, -1), (Times{6'999'000'000, -2'000'000}));
  EXPECT_EQ(of_int64(TimeUnit::kMicro, 0), (Times{7'000, -1}));
  EXPECT_EQ(of_int64(TimeUnit::kMicro, -1), (Times{6'999, -2}));
  EXPECT_EQ(of_int64(TimeUnit::kNano, 0), (Times{7, -1}));
  EXPECT_EQ(stamps_of<int32_t>(DataType::of(TypeId::kDate32), {1, -1}),
            (Times{86'400'000'000, -86'400'000'000}));
}

TEST(RecordTimestamps, AddTheOffsetInTicksOfTheColumn) {
  const DataType millis = DataType::timestamp(TimeUnit::kMilli);
  EXPECT_EQ(stamps_of<int64_t>(millis, {60'000}, -1), (Times{59'999'000}));
  EXPECT_EQ(stamps_of<int64_t>(DataType::timestamp(TimeUnit::kMicro), {60}, -1), (Times{59}));
  EXPECT_EQ(stamps_of<int64_t>(DataType::timestamp(TimeUnit::kNano), {2'000}, -1), (Times{1}));
  EXPECT_EQ(stamps_of<int32_t>(DataType::of(TypeId::kDate32), {1}, -1), (Times{0}));
}

TEST(RecordTimestamps, AreTheNearestThatMicrosecondsCanHold) {
  const DataType seconds = DataType::timestamp(TimeUnit::kSecond);
  const DataType millis = DataType::timestamp(TimeUnit::kMilli);
  EXPECT_EQ(stamps_of<int64_t>(seconds, {INT64_MIN, 1, INT64_MAX}),
            (Times{INT64_MIN + 1, 1'000'000, INT64_MAX}));
  const int64_t last = INT64_MAX / 1000;
  EXPECT_EQ(stamps_of<int64_t>(millis, {-last - 1, -last, last, last + 1}),
            (Times{INT64_MIN + 1, -last * 1000, last * 1000, INT64_MAX}));
  EXPECT_EQ(stamps_of<int64_t>(millis, {INT64_MIN, last + 1, last + 2}, -1),
            (Times{INT64_MIN + 1, last * 1000, INT64_MAX}));
  EXPECT_EQ(stamps_of<int64_t>(DataType::timestamp(TimeUnit::kMicro), {INT64_MIN}, -1),
            (Times{INT64_MIN + 1}));
  EXPECT_EQ(stamps_of<int64_t>(DataType::timestamp(TimeUnit::kNano), {INT64_MIN}, -1),
            (Times{INT64_MIN / 1000 - 1}));
}

TEST(RecordTimestamps, RefuseNulls) {
  FixedBuilder<int64_t> builder(DataType::timestamp(TimeUnit::kMilli));
  builder.append(1);
  builder.append_null();
  try {
    record_timestamps(builder.finish(), 0, "ts");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    EXPECT_NE(std::string(error.what()).find("row 1"), std::string::npos);
  }
}

}  // namespace
}  // namespace pystream::runtime
