#include "columns/array.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "columns/record_batch.hpp"

namespace pystream {
namespace {

// The slow, obvious model of an array: a vector of optional text.
using Rows = std::vector<std::optional<std::string>>;

DataType type_of(TypeId id) {
  DataType type = DataType::of(id);
  if (id == TypeId::kDecimal128) type.precision = 20;
  return type;
}

const std::vector<TypeId> kAllTypes = {
    TypeId::kBool,    TypeId::kInt8,      TypeId::kInt16,  TypeId::kInt32,     TypeId::kInt64,
    TypeId::kUInt8,   TypeId::kUInt16,    TypeId::kUInt32, TypeId::kUInt64,    TypeId::kFloat32,
    TypeId::kFloat64, TypeId::kDate32,    TypeId::kString, TypeId::kTimestamp, TypeId::kDuration,
    TypeId::kBinary,  TypeId::kDecimal128};

std::string cell_text(const Array& array, int64_t i) {
  if (array.is_encoded()) return cell_text(*array.dictionary, array.codes()[i]);
  if (array.type.is_var_binary()) return std::string(array.view(i));
  if (array.type.is_bool()) return get_bit(array.values.data, i) ? "1" : "0";
  const int width = array.type.byte_width();
  return {array.values.as<char>() + i * width, static_cast<size_t>(width)};
}

Rows rows_of(const Array& array) {
  Rows rows;
  for (int64_t i = 0; i < array.length; ++i) {
    if (array.is_valid(i)) {
      rows.emplace_back(cell_text(array, i));
    } else {
      rows.emplace_back(std::nullopt);
    }
  }
  return rows;
}

template <typename T>
Array build_fixed(const DataType& type, std::mt19937* random, int64_t length, bool nulls) {
  FixedBuilder<T> builder(type);
  for (int64_t i = 0; i < length; ++i) {
    if (nulls && (*random)() % 3 == 0) {
      builder.append_null();
    } else {
      builder.append(static_cast<T>((*random)() % 5));
    }
  }
  return builder.finish();
}

Array build_strings(const DataType& type, std::mt19937* random, int64_t length, bool nulls) {
  VarBinaryBuilder builder(type);
  for (int64_t i = 0; i < length; ++i) {
    if (nulls && (*random)() % 3 == 0) {
      builder.append_null();
    } else {
      builder.append(std::string((*random)() % 4 * 9, 'a'));
    }
  }
  return builder.finish();
}

Array build_bools(std::mt19937* random, int64_t length, bool nulls) {
  BitmapBuilder values;
  BitmapBuilder validity;
  for (int64_t i = 0; i < length; ++i) {
    values.append((*random)() % 2 == 0);
    validity.append(!nulls || (*random)() % 3 != 0);
  }
  Array array;
  array.type = type_of(TypeId::kBool);
  array.length = length;
  array.null_count = length - validity.ones();
  array.values = values.finish();
  if (array.null_count > 0) array.validity = validity.finish();
  return array;
}

Array build(TypeId id, std::mt19937* random, int64_t length, bool nulls) {
  const DataType type = type_of(id);
  if (type.is_var_binary()) return build_strings(type, random, length, nulls);
  switch (type.byte_width()) {
    case 0:
      return build_bools(random, length, nulls);
    case 1:
      return build_fixed<uint8_t>(type, random, length, nulls);
    case 2:
      return build_fixed<uint16_t>(type, random, length, nulls);
    case 4:
      return build_fixed<uint32_t>(type, random, length, nulls);
    case 8:
      return build_fixed<uint64_t>(type, random, length, nulls);
    default:
      return build_fixed<__int128>(type, random, length, nulls);
  }
}

// A physically encoded array of any type: codes into a plain dictionary without nulls.
Array build_encoded(TypeId id, std::mt19937* random, int64_t length, bool nulls) {
  Array array = build_fixed<int32_t>(type_of(id), random, length, nulls);
  array.dictionary = std::make_shared<const Array>(build(id, random, 5, false));
  return array;
}

class EveryType : public testing::TestWithParam<TypeId> {
 protected:
  std::vector<Array> arrays(int64_t length) {
    return {build(GetParam(), &random_, length, false), build(GetParam(), &random_, length, true),
            build_encoded(GetParam(), &random_, length, false),
            build_encoded(GetParam(), &random_, length, true),
            make_nulls(type_of(GetParam()), length)};
  }
  std::mt19937 random_{42};
};

TEST_P(EveryType, SliceIsTheRange) {
  for (const Array& array : arrays(100)) {
    const Rows rows = rows_of(array);
    for (const auto& [begin, length] :
         std::vector<std::pair<int64_t, int64_t>>{{0, 100}, {0, 0}, {100, 0}, {8, 64}, {3, 77}}) {
      const Array part = slice(array, begin, length);
      EXPECT_EQ(rows_of(part), Rows(rows.begin() + begin, rows.begin() + begin + length));
      const Array again = slice(part, length / 2, length - length / 2);
      EXPECT_EQ(rows_of(again),
                Rows(rows.begin() + begin + length / 2, rows.begin() + begin + length));
    }
  }
}

TEST_P(EveryType, TakePicksRowsInOrder) {
  for (const Array& array : arrays(50)) {
    const Rows rows = rows_of(array);
    std::vector<int32_t> indices = {49, 0, 0, 7, 48, 49, 3, 8, 9, 10, 11, 12, 13};
    const Array taken = take(array, indices);
    Rows expected;
    for (int32_t i : indices) expected.push_back(rows[static_cast<size_t>(i)]);
    EXPECT_EQ(rows_of(taken), expected);
    EXPECT_EQ(taken.is_encoded(), array.is_encoded());
    EXPECT_EQ(take(array, {}).length, 0);
  }
}

TEST_P(EveryType, DecodeKeepsRows) {
  for (const Array& array : arrays(70)) {
    const Array plain = decode_dictionary(array);
    EXPECT_FALSE(plain.is_encoded());
    EXPECT_EQ(rows_of(plain), rows_of(array));
    EXPECT_TRUE(equal_rows(plain, array));
    EXPECT_TRUE(equal_rows(array, plain));
  }
}

TEST_P(EveryType, ConcatJoinsSlicesBackTogether) {
  for (const Array& array : arrays(90)) {
    const std::vector<Array> parts = {slice(array, 0, 11), slice(array, 11, 0),
                                      slice(array, 11, 50), slice(array, 61, 29)};
    const Array whole = concat(parts);
    EXPECT_EQ(rows_of(whole), rows_of(array));
    EXPECT_EQ(whole.null_count, array.null_count);
    EXPECT_EQ(whole.is_encoded(), array.is_encoded());
  }
}

TEST_P(EveryType, ConcatOfMixedEncodingsIsPlain) {
  const std::vector<Array> parts = arrays(13);
  Rows expected;
  for (const Array& part : parts) {
    for (const auto& row : rows_of(part)) expected.push_back(row);
  }
  const Array whole = concat(parts);
  EXPECT_FALSE(whole.is_encoded());
  EXPECT_EQ(rows_of(whole), expected);
}

TEST_P(EveryType, MakeNullsIsAllNull) {
  for (int64_t length : {0, 1, 65}) {
    const Array nulls = make_nulls(type_of(GetParam()), length);
    EXPECT_EQ(nulls.null_count, length);
    EXPECT_EQ(rows_of(nulls), Rows(static_cast<size_t>(length)));
  }
}

INSTANTIATE_TEST_SUITE_P(Array, EveryType, testing::ValuesIn(kAllTypes), [](const auto& info) {
  const std::string name = type_of(info.param).to_string();
  return name.substr(0, name.find_first_of("[("));
});

TEST(Array, EqualRowsSeesValuesNullsLengthAndType) {
  FixedBuilder<int64_t> left(DataType::of(TypeId::kInt64));
  FixedBuilder<int64_t> right(DataType::of(TypeId::kInt64));
  for (int64_t i = 0; i < 10; ++i) {
    left.append(i);
    right.append(i == 7 ? 70 : i);
  }
  const Array a = left.finish();
  const Array b = right.finish();
  EXPECT_TRUE(equal_rows(a, a));
  EXPECT_FALSE(equal_rows(a, b));
  EXPECT_TRUE(equal_rows(slice(a, 0, 7), slice(b, 0, 7)));
  EXPECT_FALSE(equal_rows(slice(a, 0, 6), slice(b, 0, 7)));
  EXPECT_FALSE(equal_rows(a, make_nulls(DataType::of(TypeId::kInt64), 10)));
  EXPECT_FALSE(equal_rows(a, make_constant_int64(DataType::of(TypeId::kDuration), 0, 10)));
}

TEST(Array, DecodingAnEmptyDictionaryGivesNulls) {
  Array array = make_nulls(DataType::of(TypeId::kInt32), 4);
  array.type = DataType::of(TypeId::kString);
  array.dictionary = std::make_shared<const Array>(make_nulls(array.type, 0));
  EXPECT_EQ(rows_of(decode_dictionary(array)), Rows(4));
}

TEST(Array, EncodeDictionaryListsEntriesOnceInOrderOfAppearance) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const char* text : {"b", "a", "b", ""}) builder.append(text);
  builder.append_null();
  builder.append("a");
  const Array plain = builder.finish();
  const Array encoded = encode_dictionary(plain);
  EXPECT_EQ(rows_of(*encoded.dictionary), (Rows{"b", "a", ""}));
  EXPECT_TRUE(equal_rows(encoded, plain));
  EXPECT_EQ(encode_dictionary(encoded).dictionary, encoded.dictionary);
}

TEST(Array, ConstantRepeatsItsValue) {
  const Array array = make_constant_int64(DataType::timestamp(TimeUnit::kMicro), -5, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(array.data<int64_t>()[i], -5);
}

TEST(Array, ReferencedBytesCountsTheRowsNotTheirOwners) {
  std::mt19937 random(1);
  const Array ints = build(TypeId::kInt64, &random, 1000, false);
  EXPECT_EQ(referenced_bytes(ints), 8000);
  EXPECT_EQ(referenced_bytes(slice(ints, 10, 3)), 24);
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  builder.append("four");
  builder.append("sixsix");
  EXPECT_EQ(referenced_bytes(slice(builder.finish(), 1, 1)), 2 * 4 + 6);
}

TEST(Array, SliceSharesMemory) {
  std::mt19937 random(1);
  const Array ints = build(TypeId::kInt64, &random, 100, false);
  EXPECT_EQ(slice(ints, 10, 5).values.data, ints.values.data + 80);
  const Array text = build(TypeId::kString, &random, 100, false);
  EXPECT_EQ(slice(text, 10, 5).values.data, text.values.data);
}

TEST(Array, StringsPastTwoGigabytesAreRefused) {
  // One entry of 2 MiB, taken often enough: nothing of that size is ever allocated.
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  builder.append(std::string(2 << 20, 'x'));
  const Array big = builder.finish();
  const std::vector<int32_t> indices(1024, 0);
  try {
    take(big, indices);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRecordTooLarge);
  }
  const std::vector<Array> parts(1024, big);
  EXPECT_THROW(concat(parts), Error);
}

TEST(RecordBatch, SliceTakeAndConcatWorkOnAllColumns) {
  std::mt19937 random(3);
  auto schema = std::make_shared<Schema>();
  schema->fields = {{"n", DataType::of(TypeId::kInt64)}, {"s", DataType::of(TypeId::kString)}};
  const RecordBatch batch{
      schema,
      20,
      {build(TypeId::kInt64, &random, 20, true), build(TypeId::kString, &random, 20, true)}};
  const std::vector<RecordBatch> parts = {batch.slice(0, 5), batch.slice(5, 15)};
  const RecordBatch whole = concat(parts);
  ASSERT_EQ(whole.num_rows, 20);
  const std::vector<int32_t> reversed = {2, 1, 0};
  const RecordBatch taken = whole.take(reversed);
  for (size_t c = 0; c < 2; ++c) {
    EXPECT_TRUE(equal_rows(whole.columns[c], batch.columns[c]));
    const Rows rows = rows_of(batch.columns[c]);
    EXPECT_EQ(rows_of(taken.columns[c]), (Rows{rows[2], rows[1], rows[0]}));
  }
}

}  // namespace
}  // namespace pystream
