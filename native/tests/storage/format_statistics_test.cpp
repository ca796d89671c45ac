#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/crc32c.hpp"
#include "format_testing.hpp"
#include "storage/statistics.hpp"

namespace pystream::storage {
namespace {

template <typename T>
void compare_with_the_definition(const DataType& type, uint64_t seed) {
  Random random(seed);
  const ColumnShape shape{static_cast<int64_t>(1 + random() % 3000),
                          std::vector<double>{0, 0.02, 0.5, 1}[random() % 4],
                          std::vector<uint64_t>{0, 3}[random() % 2]};
  const Array array = random_array(type, shape, random);
  bool has_value = false;
  T minimum{};
  T maximum{};
  for (int64_t i = 0; i < array.length; ++i) {
    const T value = array.data<T>()[i];
    if (!array.is_valid(i) || value != value) continue;
    if (!has_value || value < minimum) minimum = value;
    if (!has_value || value > maximum) maximum = value;
    has_value = true;
  }
  uint32_t crc = 0;
  const MinMax range = min_max_and_crc(array, &crc);
  EXPECT_EQ(crc, crc32c(0, array.values.data, static_cast<size_t>(array.length) * sizeof(T)));
  ASSERT_EQ(range.has_value, has_value);
  if (!has_value) return;
  if constexpr (std::is_floating_point_v<T>) {
    EXPECT_EQ(std::bit_cast<double>(range.minimum), static_cast<double>(minimum));
    EXPECT_EQ(std::bit_cast<double>(range.maximum), static_cast<double>(maximum));
  } else if constexpr (std::is_signed_v<T>) {
    EXPECT_EQ(static_cast<int64_t>(range.minimum), int64_t{minimum});
    EXPECT_EQ(static_cast<int64_t>(range.maximum), int64_t{maximum});
  } else {
    EXPECT_EQ(range.minimum, uint64_t{minimum});
    EXPECT_EQ(range.maximum, uint64_t{maximum});
  }
  const MinMax again = min_max(array);
  EXPECT_EQ(again.minimum, range.minimum);
  EXPECT_EQ(again.maximum, range.maximum);
}

TEST(Statistics, AgreeWithTheDefinition) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    compare_with_the_definition<int8_t>(DataType::of(TypeId::kInt8), seed);
    compare_with_the_definition<int16_t>(DataType::of(TypeId::kInt16), seed);
    compare_with_the_definition<int32_t>(DataType::of(TypeId::kDate32), seed);
    compare_with_the_definition<int64_t>(DataType::timestamp(TimeUnit::kMilli), seed);
    compare_with_the_definition<uint8_t>(DataType::of(TypeId::kUInt8), seed);
    compare_with_the_definition<uint16_t>(DataType::of(TypeId::kUInt16), seed);
    compare_with_the_definition<uint32_t>(DataType::of(TypeId::kUInt32), seed);
    compare_with_the_definition<uint64_t>(DataType::of(TypeId::kUInt64), seed);
    compare_with_the_definition<float>(DataType::of(TypeId::kFloat32), seed);
    compare_with_the_definition<double>(DataType::of(TypeId::kFloat64), seed);
  }
}

MinMax of_doubles(const std::vector<double>& values) {
  return min_max(fixed_array<double>(DataType::of(TypeId::kFloat64), values));
}

TEST(Statistics, NaNIsLeftOutAndInfinityIsNot) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(of_doubles({nan, nan}).has_value);
  EXPECT_FALSE(of_doubles(std::vector<double>(100, nan)).has_value);
  const MinMax range = of_doubles({nan, infinity, nan, -infinity, 1});
  EXPECT_EQ(std::bit_cast<double>(range.minimum), -infinity);
  EXPECT_EQ(std::bit_cast<double>(range.maximum), infinity);
  EXPECT_EQ(std::bit_cast<double>(of_doubles({infinity, infinity}).minimum), infinity);
  EXPECT_EQ(std::bit_cast<double>(of_doubles({-infinity}).maximum), -infinity);
}

TEST(Statistics, SignedZerosDoNotDependOnOrder) {
  for (const auto& values : std::vector<std::vector<double>>{{0.0, -0.0}, {-0.0, 0.0}, {0.0}}) {
    const MinMax range = of_doubles(values);
    EXPECT_TRUE(std::signbit(std::bit_cast<double>(range.minimum)));
    EXPECT_FALSE(std::signbit(std::bit_cast<double>(range.maximum)));
  }
}

TEST(Statistics, ExtremesOfEachWidth) {
  const Array narrow = fixed_array<int8_t>(DataType::of(TypeId::kInt8), {127, -128});
  EXPECT_EQ(static_cast<int64_t>(min_max(narrow).minimum), -128);
  const Array wide = int64_array({INT64_MAX, INT64_MIN});
  EXPECT_EQ(static_cast<int64_t>(min_max(wide).minimum), INT64_MIN);
  EXPECT_EQ(static_cast<int64_t>(min_max(int64_array({INT64_MAX})).minimum), INT64_MAX);
  const Array top = fixed_array<uint64_t>(DataType::of(TypeId::kUInt64), {UINT64_MAX, 3});
  EXPECT_EQ(min_max(top).maximum, UINT64_MAX);
}

// A dictionary that holds more than the rows use must not widen the range.
TEST(Statistics, OfAnEncodedColumnAreThoseOfItsRows) {
  Array encoded = int64_array({0, 0, 0});
  encoded.type = DataType::of(TypeId::kInt64);
  encoded.values = fixed_array<int32_t>(DataType::of(TypeId::kInt32), {1, 2, 1}).values;
  encoded.dictionary = std::make_shared<const Array>(int64_array({-100, 5, 7}));
  const RecordBatch batch = make_batch({encoded});
  const Buffer bytes = store(batch);
  const LogBatch stored = open_batch(bytes, batch.schema);
  EXPECT_EQ(static_cast<int64_t>(stored.statistics(0)->minimum), 5);
  EXPECT_EQ(static_cast<int64_t>(stored.statistics(0)->maximum), 7);
  EXPECT_TRUE(equal_rows(stored.column(0), int64_array({5, 7, 5})));
}

}  // namespace
}  // namespace pystream::storage
