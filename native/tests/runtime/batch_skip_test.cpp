#include "runtime/batch_skip.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "job_support.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;
using expressions::Function;

storage::ColumnStatistics between(int64_t minimum, int64_t maximum) {
  return {0, true, static_cast<uint64_t>(minimum), static_cast<uint64_t>(maximum)};
}

bool skips(const expressions::ExpressionPtr& condition, const DataType& type,
           const storage::ColumnStatistics& bounds) {
  const auto schema = std::make_shared<Schema>(Schema{{{"x", type, true}}});
  const auto skip = BatchSkip::of(*condition, schema);
  EXPECT_TRUE(skip.has_value());
  return skip && skip->can_skip([&](int) { return bounds; });
}

TEST(BatchSkip, ComparesTheLiteralWithBothBounds) {
  const DataType type = DataType::of(TypeId::kInt32);
  const auto x = [](Function function, int64_t value) {
    return call(function, {col("x"), lit(value)});
  };
  const auto bounds = between(-5, 10);
  EXPECT_TRUE(skips(x(Function::kGreater, 10), type, bounds));
  EXPECT_FALSE(skips(x(Function::kGreater, 9), type, bounds));
  EXPECT_TRUE(skips(x(Function::kGreaterEqual, 11), type, bounds));
  EXPECT_FALSE(skips(x(Function::kGreaterEqual, 10), type, bounds));
  EXPECT_TRUE(skips(x(Function::kLess, -5), type, bounds));
  EXPECT_FALSE(skips(x(Function::kLess, -4), type, bounds));
  EXPECT_TRUE(skips(x(Function::kLessEqual, -6), type, bounds));
  EXPECT_FALSE(skips(x(Function::kLessEqual, -5), type, bounds));
  EXPECT_TRUE(skips(x(Function::kEqual, 11), type, bounds));
  EXPECT_TRUE(skips(x(Function::kEqual, -6), type, bounds));
  EXPECT_FALSE(skips(x(Function::kEqual, 0), type, bounds));  // between, and at neither bound
  EXPECT_TRUE(skips(call(Function::kLess, {lit(10), col("x")}), type, bounds));
}

TEST(BatchSkip, OneImpossiblePartOfAConjunctionIsEnough) {
  const DataType type = DataType::of(TypeId::kInt64);
  const auto condition = call(Function::kAnd, {call(Function::kGreater, {col("x"), lit(0)}),
                                               call(Function::kLess, {col("x"), lit(0)})});
  EXPECT_FALSE(skips(condition, type, between(-5, 5)));
  EXPECT_TRUE(skips(condition, type, between(1, 5)));
  EXPECT_TRUE(skips(condition, type, between(-5, 0)));
}

TEST(BatchSkip, KnowsFloatsAndSmallIntegers) {
  storage::ColumnStatistics bounds{0, true, std::bit_cast<uint64_t>(-1.5),
                                   std::bit_cast<uint64_t>(2.5)};
  const auto above_two = call(Function::kGreater, {col("x"), lit(2)});
  const auto above_three = call(Function::kGreater, {col("x"), lit(3)});
  for (const TypeId id : {TypeId::kFloat32, TypeId::kFloat64}) {
    EXPECT_FALSE(skips(above_two, DataType::of(id), bounds));
    EXPECT_TRUE(skips(above_three, DataType::of(id), bounds));
  }
  for (const TypeId id : {TypeId::kInt8, TypeId::kInt16, TypeId::kUInt8, TypeId::kUInt16}) {
    EXPECT_FALSE(skips(above_two, DataType::of(id), between(1, 3)));
    EXPECT_TRUE(skips(above_three, DataType::of(id), between(1, 3)));
  }
  EXPECT_FALSE(skips(above_three, DataType::of(TypeId::kUInt64), between(0, -1)));
}

TEST(BatchSkip, WithoutBoundsNothingIsSkipped) {
  EXPECT_FALSE(skips(call(Function::kGreater, {col("x"), lit(3)}), DataType::of(TypeId::kInt64),
                     {0, false, 0, 0}));
}

TEST(BatchSkip, LeavesOtherConditionsAlone) {
  const SchemaPtr schema = event_schema();
  const auto comparison = call(Function::kGreater, {col("value"), lit(1)});
  const auto is_left_alone = [&](const expressions::ExpressionPtr& condition) {
    return !BatchSkip::of(*condition, schema).has_value();
  };
  EXPECT_TRUE(is_left_alone(call(Function::kNotEqual, {col("value"), lit(1)})));
  EXPECT_TRUE(is_left_alone(call(Function::kGreater, {col("value"), col("key")})));
  EXPECT_TRUE(is_left_alone(call(Function::kNot, {comparison})));
  EXPECT_TRUE(is_left_alone(
      call(Function::kOr, {comparison, call(Function::kLess, {col("value"), lit(0)})})));
  EXPECT_TRUE(is_left_alone(
      call(Function::kAnd,
           {comparison, call(Function::kGreater, {call(Function::kAbs, {col("key")}), lit(1)})})));
}

TEST(BatchSkip, SkippedBatchesAreNotReadButAdvanceTheWatermark) {
  TempLog log;
  const Partitions topic = log.topic("events", 1);
  append(*topic[0], {{1, 1, 10}});
  append(*topic[0], {{100, 1, 1}, {101, 1, 2}});  // no value above 5
  append(*topic[0], {{5, 1, 20}, {102, 1, 30}});
  Graph graph;
  const Port source = graph.add_topic_source("events", topic_source(log, topic, 0));
  const Port big = graph.add_filter("big", source, greater("value", 5));
  const Port window = graph.add_window("w", big, count_and_sum(10, 10));
  const int out = graph.add_collect("out", window);
  Executor executor(graph);
  EXPECT_EQ(executor.run(1'000'000), RunStatus::kFinished);
  EXPECT_EQ(rows_of(executor.take_collected(out)),
            (std::vector<std::vector<int64_t>>{{1, 0, 10, 1, 10}, {1, 100, 110, 1, 30}}));
  const auto metrics = executor.metrics();
  EXPECT_EQ(metrics[0].records_in, 5);
  EXPECT_EQ(metrics[0].records_out, 5);
  EXPECT_EQ(metrics[1].records_in, 5);
  EXPECT_EQ(metrics[1].records_out, 3);
  EXPECT_EQ(metrics[2].late_records, 1);
}

}  // namespace
}  // namespace pystream::runtime
