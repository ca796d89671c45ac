// What each aggregate makes of each type, with nulls, NaN and sums at the limits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "window_rows.hpp"

namespace pystream::windows {
namespace {

using std::nullopt;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

DataType type_of(TypeId id) { return DataType::of(id); }

DataType decimal(uint8_t precision, int8_t scale) {
  DataType type = type_of(TypeId::kDecimal128);
  type.precision = precision;
  type.scale = scale;
  return type;
}

// count, sum, mean, min, max, or those of `kinds`, of one column in one window without keys.
std::vector<std::string> aggregate(const Array& values, const std::vector<AggregateKind>& kinds,
                                   bool is_keyed = false) {
  std::vector<std::optional<int64_t>> times(static_cast<size_t>(values.length), 5);
  const RecordBatch batch = make_batch(
      {{"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)}, {"v", values}});
  WindowAggregationSpec spec;
  spec.window = {10, 10, 0};
  if (is_keyed) spec.key_columns = {0};
  for (size_t i = 0; i < kinds.size(); ++i) {
    spec.aggregates.push_back({kinds[i], 1, "a" + std::to_string(i)});
  }
  Harness harness(spec, batch.schema);
  // Row by row as well as at once gives the same.
  harness.add(batch);
  const Rows rows = harness.advance(kMaxWatermark);
  EXPECT_EQ(rows.size(), 1u);
  std::vector<std::string> row = rows[0];
  return {row.begin() + (is_keyed ? 3 : 2), row.end()};
}

constexpr AggregateKind kCount = AggregateKind::kCount;
constexpr AggregateKind kSum = AggregateKind::kSum;
constexpr AggregateKind kMean = AggregateKind::kMean;
constexpr AggregateKind kMin = AggregateKind::kMin;
constexpr AggregateKind kMax = AggregateKind::kMax;
const std::vector<AggregateKind> kNumeric = {kCount, kSum, kMean, kMin, kMax};
using Texts = std::vector<std::string>;

// Both with and without keys, which have kernels of their own.
void expect(const Array& values, const std::vector<AggregateKind>& kinds, const Texts& expected) {
  EXPECT_EQ(aggregate(values, kinds, false), expected) << values.type.to_string();
  EXPECT_EQ(aggregate(values, kinds, true), expected) << values.type.to_string() << ", keyed";
}

template <typename T>
Array column(DataType type, const std::vector<std::optional<T>>& values) {
  return make_column<T>(std::move(type), values);
}

Array bools(const std::vector<std::optional<bool>>& values) {
  BitmapBuilder bits;
  BitmapBuilder valid;
  for (const std::optional<bool>& value : values) {
    bits.append(value.value_or(false));
    valid.append(value.has_value());
  }
  Array array;
  array.type = type_of(TypeId::kBool);
  array.length = bits.length();
  array.null_count = valid.length() - valid.ones();
  array.values = bits.finish();
  if (array.null_count > 0) array.validity = valid.finish();
  return array;
}

const std::vector<AggregateKind> kVariances = {AggregateKind::kVarSamp, AggregateKind::kVarPop,
                                               AggregateKind::kStddevSamp,
                                               AggregateKind::kStddevPop};

TEST(Aggregates, VariancesTakeEveryNumericType) {
  const Texts expected = {"4", "3", "2", "1.7320508075688772"};
  expect(column<int8_t>(type_of(TypeId::kInt8), {1, nullopt, 1, 1, 5}), kVariances, expected);
  expect(column<int64_t>(type_of(TypeId::kInt64), {1, nullopt, 1, 1, 5}), kVariances, expected);
  expect(column<uint64_t>(type_of(TypeId::kUInt64), {1, nullopt, 1, 1, 5}), kVariances, expected);
  expect(column<float>(type_of(TypeId::kFloat32), {1, nullopt, 1, 1, 5}), kVariances, expected);
  expect(column<double>(type_of(TypeId::kFloat64), {1, nullopt, 1, 1, 5}), kVariances, expected);
  expect(column<__int128>(decimal(10, 1), {10, nullopt, 10, 10, 50}), kVariances, expected);
}

TEST(Aggregates, VariancesOfFewValues) {
  const DataType type = type_of(TypeId::kFloat64);
  expect(column<double>(type, {nullopt}), kVariances, {"null", "null", "null", "null"});
  expect(column<double>(type, {7.5}), kVariances, {"null", "0", "null", "0"});
  expect(column<double>(type, {7.5, 7.5}), kVariances, {"0", "0", "0", "0"});
}

// Far from zero, where a difference of sums of squares has no digit left.
TEST(Aggregates, VariancesFarFromZeroKeepTheirDigits) {
  const auto far = [](double value) { return std::optional(1e9 + value); };
  expect(column<double>(type_of(TypeId::kFloat64), {far(1), far(1), far(1), far(5)}), kVariances,
         {"4", "3", "2", "1.7320508075688772"});
}

TEST(Aggregates, VariancesOfWhatIsNotFiniteAreNaN) {
  const DataType type = type_of(TypeId::kFloat64);
  const Texts nans = {"nan", "nan", "nan", "nan"};
  expect(column<double>(type, {1, kNaN, 2}), kVariances, nans);
  expect(column<double>(type, {1, kInfinity, 2}), kVariances, nans);
  expect(column<double>(type, {kInfinity}), {AggregateKind::kVarPop}, {"nan"});
  // Beside an extreme, which sets NaN aside.
  expect(column<double>(type, {1, kNaN, 2}), {AggregateKind::kVarPop, kMax, kCount},
         {"nan", "2", "3"});
}

TEST(Aggregates, AnyAndAllTakeBool) {
  const std::vector<AggregateKind> kinds = {AggregateKind::kAny, AggregateKind::kAll};
  expect(bools({true, nullopt, false}), kinds, {"true", "false"});
  expect(bools({true, nullopt}), kinds, {"true", "true"});
  expect(bools({false}), kinds, {"false", "false"});
  expect(bools({nullopt}), kinds, {"null", "null"});
}

TEST(Aggregates, TakeEveryNumericType) {
  const Texts expected = {"3", "4", "1.3333333333333333", "1", "2"};
  expect(column<int8_t>(type_of(TypeId::kInt8), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<int16_t>(type_of(TypeId::kInt16), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<int32_t>(type_of(TypeId::kInt32), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<int64_t>(type_of(TypeId::kInt64), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<uint8_t>(type_of(TypeId::kUInt8), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<uint16_t>(type_of(TypeId::kUInt16), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<uint32_t>(type_of(TypeId::kUInt32), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<uint64_t>(type_of(TypeId::kUInt64), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<float>(type_of(TypeId::kFloat32), {1, nullopt, 2, 1}), kNumeric, expected);
  expect(column<double>(type_of(TypeId::kFloat64), {1, nullopt, 2, 1}), kNumeric, expected);
}

TEST(Aggregates, KeepExtremesOfIntegers) {
  const std::vector<AggregateKind> kinds = {kMin, kMax};
  expect(column<int8_t>(type_of(TypeId::kInt8), {INT8_MIN, INT8_MAX}), kinds, {"-128", "127"});
  expect(column<int64_t>(type_of(TypeId::kInt64), {INT64_MAX, INT64_MIN}), kinds,
         {std::to_string(INT64_MIN), std::to_string(INT64_MAX)});
  expect(column<uint64_t>(type_of(TypeId::kUInt64), {UINT64_MAX, 1}), kinds,
         {"1", std::to_string(UINT64_MAX)});
  expect(column<int64_t>(type_of(TypeId::kInt64), {INT64_MAX}), kinds,
         {std::to_string(INT64_MAX), std::to_string(INT64_MAX)});
}

TEST(Aggregates, OfNullsAreNullAndTheCountIsZero) {
  expect(column<int64_t>(type_of(TypeId::kInt64), {nullopt, nullopt}), kNumeric,
         {"0", "null", "null", "null", "null"});
  expect(column<double>(type_of(TypeId::kFloat64), {nullopt}), kNumeric,
         {"0", "null", "null", "null", "null"});
  expect(make_strings({nullopt}), {kCount, kMin, kMax}, {"0", "null", "null"});
}

TEST(Aggregates, CountsRowsWithNullsToo) {
  const RecordBatch batch =
      make_batch({{"ts", column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {1, 2, 3})},
                  {"v", column<int64_t>(type_of(TypeId::kInt64), {1, nullopt, nullopt})}});
  WindowAggregationSpec spec;
  spec.window = {10, 10, 0};
  spec.aggregates = {{AggregateKind::kCountAll, -1, "rows"}, {kCount, 1, "values"}};
  Harness harness(spec, batch.schema);
  harness.add(batch);
  EXPECT_EQ(harness.advance(9), (Rows{{"0", "10", "3", "1"}}));
}

TEST(Aggregates, SumsOfIntegersNeverWrap) {
  // The partial sums leave the range and come back.
  expect(column<int64_t>(type_of(TypeId::kInt64), {INT64_MAX, INT64_MAX, -INT64_MAX}), {kSum},
         {std::to_string(INT64_MAX)});
  expect(column<int64_t>(type_of(TypeId::kInt64), {INT64_MIN, -1, 1}), {kSum},
         {std::to_string(INT64_MIN)});
  expect(column<uint64_t>(type_of(TypeId::kUInt64), {UINT64_MAX - 1, 1}), {kSum},
         {std::to_string(UINT64_MAX)});
  expect(column<int64_t>(type_of(TypeId::kInt64), {INT64_MAX, INT64_MAX}), {kMean},
         {"9.2233720368547758e+18"});
}

TEST(Aggregates, SumThatDoesNotFitIsAnErrorThatNamesKeyAndWindow) {
  const RecordBatch batch =
      make_batch({{"user", make_strings({"ann", "bob", "bob"})},
                  {"ts", column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {11, 12, 13})},
                  {"v", column<int64_t>(type_of(TypeId::kInt64), {1, INT64_MAX, 1})},
                  {"u", column<uint64_t>(type_of(TypeId::kUInt64), {1, UINT64_MAX, 1})},
                  {"d", column<__int128>(decimal(38, 0), {1, 1, 1})}});
  for (const int input : {2, 3}) {
    WindowAggregationSpec spec;
    spec.window = {10, 10, 0};
    spec.key_columns = {0};
    spec.event_time_column = 1;
    spec.aggregates = {{kSum, input, "total"}};
    Harness harness(spec, batch.schema);
    harness.add(batch);
    try {
      harness.advance(kMaxWatermark);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOperator);
      const std::string message = error.what();
      EXPECT_NE(message.find("user = 'bob'"), std::string::npos) << message;
      EXPECT_NE(message.find("[10, 20)"), std::string::npos) << message;
    }
  }
}

TEST(Aggregates, SumsDecimalsExactly) {
  __int128 largest = 1;
  for (int digit = 0; digit < 38; ++digit) largest *= 10;
  largest -= 1;
  const auto hex = [](__int128 value) {
    return value_text(column<__int128>(decimal(38, 2), {value}), 0);
  };
  const Array values = column<__int128>(decimal(38, 2), {largest, largest, -largest, nullopt});
  expect(values, {kCount, kSum, kMin, kMax}, {"3", hex(largest), hex(-largest), hex(largest)});
  expect(column<__int128>(decimal(10, 2), {150, 250}), {kSum, kMean}, {hex(400), "2"});
  EXPECT_THROW(aggregate(column<__int128>(decimal(38, 0), {largest, 1}), {kSum}), Error);
  EXPECT_THROW(aggregate(column<__int128>(decimal(38, 0), {largest, largest}), {kSum}), Error);
  // Beyond 128 bits, a mean is still there.
  expect(column<__int128>(decimal(38, 0), {largest, largest}), {kMean}, {"9.9999999999999998e+37"});
  expect(column<__int128>(decimal(38, 0), {-largest, -largest}), {kMean},
         {"-9.9999999999999998e+37"});
}

TEST(Aggregates, IgnoreNaNInExtremesUnlessThereIsNothingElse) {
  const auto floats = [](const std::vector<std::optional<double>>& values) {
    return column<double>(type_of(TypeId::kFloat64), values);
  };
  expect(floats({kNaN, 5, nullopt, 3}), kNumeric, {"3", "nan", "nan", "3", "5"});
  expect(floats({5, kNaN}), {kMin, kMax}, {"5", "5"});
  expect(floats({kNaN, nullopt, kNaN}), {kCount, kMin, kMax}, {"2", "nan", "nan"});
  expect(floats({kInfinity, kNaN}), {kMin, kMax}, {"inf", "inf"});
  expect(floats({kInfinity}), {kMin, kMax}, {"inf", "inf"});
  expect(floats({kInfinity, -kInfinity}), {kSum, kMin, kMax}, {"-nan", "-inf", "inf"});
  expect(column<float>(type_of(TypeId::kFloat32), {NAN, 2.5f}), {kMin, kMax}, {"2.5", "2.5"});
}

TEST(Aggregates, ShowZeroWithoutItsSign) {
  const Array zeros = column<double>(type_of(TypeId::kFloat64), {-0.0, 0.0, -0.0});
  expect(zeros, {kMin, kMax}, {"0", "0"});
}

TEST(Aggregates, SumFloatsFromLeftToRight) {
  expect(column<double>(type_of(TypeId::kFloat64), {1e16, 1.0, -1e16}), {kSum}, {"0"});
  expect(column<double>(type_of(TypeId::kFloat64), {1e16, -1e16, 1.0}), {kSum}, {"1"});
}

TEST(Aggregates, CompareTextByItsBytes) {
  const std::vector<AggregateKind> kinds = {kCount, kMin, kMax};
  expect(make_strings({"b", nullopt, "a", "\xC3\xA4"}), kinds, {"3", "'a'", "'\xC3\xA4'"});
  expect(make_strings({"ab", "", "abc"}), kinds, {"3", "''", "'abc'"});
  expect(make_encoded(make_strings({"x", "b", "a", "z"}), {1, 2, nullopt, 2}), kinds,
         {"3", "'a'", "'b'"});
  expect(make_strings({"\x01", "\xFF"}, TypeId::kBinary), {kMin, kMax}, {"0x01", "0xff"});
}

TEST(Aggregates, TakeTimesAndBools) {
  expect(column<int64_t>(DataType::timestamp(TimeUnit::kNano), {5, -7}), {kCount, kMin, kMax},
         {"2", "-7", "5"});
  expect(column<int32_t>(type_of(TypeId::kDate32), {5, -7}), {kMin, kMax}, {"-7", "5"});
  expect(column<int64_t>(type_of(TypeId::kDuration), {5, -7}), {kSum, kMin, kMax},
         {"-2", "-7", "5"});
  expect(bools({true, false}), {kCount, kMin, kMax}, {"2", "false", "true"});
}

TEST(Aggregates, ReadEncodedValues) {
  expect(make_encoded(column<double>(type_of(TypeId::kFloat64), {9, 1.5, 2.5}), {1, 2, nullopt, 1}),
         kNumeric, {"3", "5.5", "1.8333333333333333", "1.5", "2.5"});
}

TEST(Aggregates, RefuseTypesThatTheyDoNotTake) {
  const Array times = column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {1});
  EXPECT_THROW(aggregate(times, {kSum}), Error);
  EXPECT_THROW(aggregate(times, {kMean}), Error);
  EXPECT_THROW(aggregate(column<int64_t>(type_of(TypeId::kDuration), {1}), {kMean}), Error);
  EXPECT_THROW(aggregate(make_strings({"a"}), {kSum}), Error);
  EXPECT_THROW(aggregate(make_strings({"a"}), {kMean}), Error);
}

TEST(Aggregates, HaveTheTypesThatAreDocumented) {
  const Array at = column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {1});
  DataType user = type_of(TypeId::kString);
  user.is_dictionary = true;
  auto schema = std::make_shared<Schema>();
  schema->fields = {{"ts", at.type, true},
                    {"i", type_of(TypeId::kInt16), true},
                    {"u", type_of(TypeId::kUInt16), true},
                    {"f", type_of(TypeId::kFloat32), true},
                    {"d", decimal(10, 2), true},
                    {"s", user, true},
                    {"span", type_of(TypeId::kDuration), true}};
  WindowAggregationSpec spec;
  spec.window = {10, 10, 0};
  spec.aggregates = {{kSum, 1, "a"}, {kSum, 2, "b"},  {kSum, 3, "c"}, {kSum, 4, "d"},
                     {kSum, 6, "e"}, {kMean, 1, "f"}, {kMin, 3, "g"}, {kMax, 5, "h"}};
  const WindowAggregation aggregation(spec, schema, 1);
  EXPECT_EQ(aggregation.output_schema()->to_string(),
            "window_start: timestamp[ms] not null, window_end: timestamp[ms] not null, "
            "a: int64, b: uint64, c: float64, d: decimal128(38, 2), e: duration[us], f: float64, "
            "g: float32, h: string");
}

// What is merged into an accumulator without values is copied: nothing of it is squared.
TEST(Variances, OfValuesWhoseSquaresOverflowSurviveAMerge) {
  WindowAggregationSpec spec;
  spec.window = {20, 10};
  spec.event_time_column = 0;
  spec.aggregates = {{AggregateKind::kVarPop, 1, "variance"}};
  const RecordBatch rows =
      make_batch({{"ts", make_column<int64_t>(DataType::of(TypeId::kInt64), {1})},
                  {"x", make_column<double>(DataType::of(TypeId::kFloat64), {1e200})}});
  Harness harness(spec, rows.schema);
  harness.add(rows);
  EXPECT_EQ(harness.advance(kMaxWatermark), (Rows{{"-10", "10", "0"}, {"0", "20", "0"}}));
}

}  // namespace
}  // namespace pystream::windows
