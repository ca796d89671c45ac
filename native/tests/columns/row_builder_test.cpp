#include "columns/row_builder.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <random>
#include <string>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream {
namespace {

Cell integer(int64_t value) {
  Cell cell;
  cell.integer = value;
  return cell;
}

Cell real(double value) {
  Cell cell;
  cell.real = value;
  return cell;
}

Cell text(const std::string& value) {
  Cell cell;
  cell.data = value.data();
  cell.size = static_cast<int64_t>(value.size());
  return cell;
}

Cell null() {
  Cell cell;
  cell.is_null = true;
  return cell;
}

TEST(RowBuilder, StoresEachTypeInItsWidth) {
  DataType decimal = DataType::of(TypeId::kDecimal128);
  decimal.precision = 38;
  RowBuilder builder({DataType::of(TypeId::kBool), DataType::of(TypeId::kInt8),
                      DataType::of(TypeId::kUInt16), DataType::of(TypeId::kDate32),
                      DataType::timestamp(TimeUnit::kMilli), decimal,
                      DataType::of(TypeId::kFloat32), DataType::of(TypeId::kFloat64),
                      DataType::of(TypeId::kString)});
  Cell minus_one = integer(-1);
  minus_one.high = -1;
  const std::string word = "word";
  const Cell row[] = {integer(1), integer(-128), integer(65535), integer(-719162), integer(-5),
                      minus_one,  real(0.5),     real(0.1),      text(word)};
  builder.append(row);
  EXPECT_EQ(builder.rows(), 1);
  EXPECT_EQ(builder.bytes(), 1 + 2 + 4 + 8 + 16 + 4 + 8 + 4 + 4);
  const std::vector<Array> columns = builder.finish();
  EXPECT_TRUE(get_bit(columns[0].values.data, 0));
  EXPECT_EQ(columns[1].data<int8_t>()[0], -128);
  EXPECT_EQ(columns[2].data<uint16_t>()[0], 65535);
  EXPECT_EQ(columns[3].data<int32_t>()[0], -719162);
  EXPECT_EQ(columns[4].data<int64_t>()[0], -5);
  EXPECT_EQ(columns[5].data<__int128>()[0], __int128{-1});
  EXPECT_EQ(columns[6].data<float>()[0], 0.5f);
  EXPECT_EQ(columns[7].data<double>()[0], 0.1);
  EXPECT_EQ(columns[8].view(0), "word");
}

// The slow, obvious model: the builders, value by value.
TEST(RowBuilder, AgreesWithBuildersOnRandomRows) {
  std::mt19937 random(17);
  RowBuilder rows(
      {DataType::of(TypeId::kInt64), DataType::of(TypeId::kString), DataType::of(TypeId::kInt16)});
  for (const int count : {0, 1, 63, 64, 65, 1000}) {
    FixedBuilder<int64_t> numbers(DataType::of(TypeId::kInt64));
    VarBinaryBuilder strings(DataType::of(TypeId::kString));
    FixedBuilder<int16_t> small(DataType::of(TypeId::kInt16));
    int64_t string_bytes = 0;
    for (int i = 0; i < count; ++i) {
      const int64_t number = static_cast<int64_t>(random());
      const std::string word(random() % 40, static_cast<char>('a' + random() % 26));
      const bool no_number = random() % 5 == 0;
      const bool no_word = i > 70 && random() % 3 == 0;
      const Cell row[] = {no_number ? null() : integer(number), no_word ? null() : text(word),
                          integer(i % 100)};
      rows.append(row);
      no_number ? numbers.append_null() : numbers.append(number);
      no_word ? strings.append_null() : strings.append(word);
      small.append(static_cast<int16_t>(i % 100));
      if (!no_word) string_bytes += static_cast<int64_t>(word.size());
    }
    EXPECT_EQ(rows.rows(), count);
    EXPECT_EQ(rows.bytes(), count * 14 + string_bytes);
    const std::vector<Array> columns = rows.finish();
    EXPECT_TRUE(equal_rows(columns[0], numbers.finish())) << count;
    EXPECT_TRUE(equal_rows(columns[1], strings.finish())) << count;
    EXPECT_TRUE(equal_rows(columns[2], small.finish())) << count;
    EXPECT_EQ(rows.rows(), 0);
    EXPECT_EQ(rows.bytes(), 0);
  }
}

TEST(RowBuilder, RowThatDoesNotFitLeavesNothing) {
  RowBuilder builder({DataType::of(TypeId::kString), DataType::of(TypeId::kString)});
  const std::string word = "kept";
  Cell huge = text(word);
  huge.size = int64_t{std::numeric_limits<int32_t>::max()} + 1;
  const Cell good[] = {text(word), null()};
  const Cell bad[] = {text(word), huge};
  builder.append(good);
  EXPECT_THROW(builder.append(bad), Error);
  builder.append(good);
  EXPECT_EQ(builder.rows(), 2);
  const std::vector<Array> columns = builder.finish();
  EXPECT_EQ(columns[0].view(1), "kept");
  EXPECT_EQ(columns[0].offsets.as<int32_t>()[2], 8);
  EXPECT_EQ(columns[1].null_count, 2);
}

}  // namespace
}  // namespace pystream
