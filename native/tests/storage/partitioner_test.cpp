#include "storage/partitioner.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "columns/builder.hpp"

namespace pystream::storage {
namespace {

template <typename T>
Array fixed(DataType type, std::vector<std::optional<T>> values) {
  FixedBuilder<T> builder(type);
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

Array strings(std::vector<std::optional<std::string>> values) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

std::string key_bytes(const Array& column, int64_t row) {
  std::string bytes;
  append_key_bytes(column, row, &bytes);
  return bytes;
}

RecordBatch batch_of(std::vector<Array> columns) {
  Schema schema;
  for (size_t i = 0; i < columns.size(); ++i) {
    schema.fields.push_back({std::string(1, static_cast<char>('a' + i)), columns[i].type, true});
  }
  RecordBatch batch{std::make_shared<const Schema>(schema), columns[0].length, std::move(columns)};
  return batch;
}

// From Kafka's own tests (org.apache.kafka.common.utils.UtilsTest.testMurmur2).
TEST(Partitioner, AgreesWithKafkasClients) {
  const std::pair<const char*, int32_t> known[] = {{"21", -973932308},
                                                   {"foobar", -790332482},
                                                   {"a-little-bit-long-string", -985981536},
                                                   {"a-little-bit-longer-string", -1486304829},
                                                   {"abc", 479470107}};
  for (const auto& [key, hash] : known) {
    EXPECT_EQ(partition_of_key(key, 12), (hash & 0x7fffffff) % 12) << key;
  }
}

TEST(Partitioner, KeyBytesAreBigEndianInTheWidthOfTheType) {
  using namespace std::string_literals;
  EXPECT_EQ(key_bytes(fixed<int32_t>(DataType::of(TypeId::kInt32), {0x01020304}), 0), "\1\2\3\4");
  EXPECT_EQ(key_bytes(fixed<int64_t>(DataType::timestamp(TimeUnit::kMilli), {-2}), 0),
            "\xff\xff\xff\xff\xff\xff\xff\xfe");
  EXPECT_EQ(key_bytes(fixed<uint8_t>(DataType::of(TypeId::kUInt8), {7}), 0), "\7");
  EXPECT_EQ(key_bytes(fixed<int16_t>(DataType::of(TypeId::kInt16), {1}), 0), "\0\1"s);
  EXPECT_EQ(key_bytes(fixed<double>(DataType::of(TypeId::kFloat64), {1.0}), 0),
            "\x3f\xf0\0\0\0\0\0\0"s);
  DataType decimal = DataType::of(TypeId::kDecimal128);
  decimal.precision = 10;
  EXPECT_EQ(key_bytes(fixed<__int128>(decimal, {__int128{258}}), 0),
            std::string(14, '\0') + "\1\2");
}

TEST(Partitioner, EqualFloatsHaveEqualKeys) {
  const DataType type = DataType::of(TypeId::kFloat64);
  const double odd_nan = std::bit_cast<double>(uint64_t{0xfff8000000000001});
  const Array column =
      fixed<double>(type, {0.0, -0.0, std::numeric_limits<double>::quiet_NaN(), odd_nan});
  EXPECT_EQ(key_bytes(column, 0), key_bytes(column, 1));
  EXPECT_EQ(key_bytes(column, 2), key_bytes(column, 3));
}

TEST(Partitioner, CellHasTheKeyOfTheColumnItGoesTo) {
  DataType decimal = DataType::of(TypeId::kDecimal128);
  decimal.precision = 38;
  const std::string word = "word";
  Cell cell;
  cell.integer = -2;
  cell.high = -1;
  cell.real = -0.0;
  cell.data = word.data();
  cell.size = static_cast<int64_t>(word.size());
  for (const DataType& type :
       {DataType::of(TypeId::kInt8), DataType::of(TypeId::kInt16), DataType::of(TypeId::kUInt32),
        DataType::timestamp(TimeUnit::kMilli), decimal, DataType::of(TypeId::kFloat32),
        DataType::of(TypeId::kFloat64), DataType::of(TypeId::kString)}) {
    RowBuilder builder({type});
    builder.append(&cell);
    std::string of_cell;
    append_key_bytes(type, cell, &of_cell);
    EXPECT_EQ(of_cell, key_bytes(builder.finish()[0], 0)) << type.to_string();
  }
}

TEST(Partitioner, NullKeyAndNoKeyGetTheKeylessPartition) {
  const RecordBatch batch = batch_of({strings({"a", std::nullopt, "b"})});
  const std::vector<int> key{0};
  const std::vector<int32_t> keyed = partition_rows(batch, key, 5, 3);
  EXPECT_EQ(keyed, (std::vector<int32_t>{partition_of_key("a", 5), 3, partition_of_key("b", 5)}));
  EXPECT_EQ(partition_rows(batch, {}, 5, 2), (std::vector<int32_t>{2, 2, 2}));
}

TEST(Partitioner, EncodingMakesNoDifference) {
  const Array plain = strings({"x", "y", std::nullopt, "x", "zebra", ""});
  const std::vector<int> key{0};
  EXPECT_EQ(partition_rows(batch_of({plain}), key, 7, 1),
            partition_rows(batch_of({encode_dictionary(plain)}), key, 7, 1));
}

TEST(Partitioner, PartsOfAKeyCannotRunIntoEachOther) {
  const RecordBatch batch =
      batch_of({strings({"ab", "a", std::nullopt, ""}), strings({"c", "bc", "c", "c"})});
  std::vector<std::string> keys;
  for (int64_t row = 0; row < 4; ++row) {
    std::string key;
    for (const Array& column : batch.columns) append_key_part(column, row, &key);
    keys.push_back(key);
  }
  using namespace std::string_literals;
  EXPECT_EQ(keys[0], "\0\0\0\2ab\0\0\0\1c"s);
  EXPECT_EQ(keys[2], "\xff\xff\xff\xff\0\0\0\1c"s);
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]);
  }
  const std::vector<int> key{0, 1};
  EXPECT_EQ(partition_rows(batch, key, 97, 0)[1], partition_of_key(keys[1], 97));
}

TEST(Partitioner, RowsByPartitionKeepsOrderAndLosesNone) {
  const std::vector<int32_t> of_row{2, 0, 2, 2, 0};
  const auto rows = rows_by_partition(of_row, 4);
  EXPECT_EQ(rows, (std::vector<std::vector<int32_t>>{{1, 4}, {}, {0, 2, 3}, {}}));
}

}  // namespace
}  // namespace pystream::storage
