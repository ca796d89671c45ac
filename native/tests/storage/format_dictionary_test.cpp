#include <gtest/gtest.h>

#include "format_testing.hpp"
#include "storage/dictionary_encoder.hpp"

namespace pystream::storage {
namespace {

TEST(DictionaryEncoder, EncodesWhatItWasGiven) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    const ColumnShape shape{static_cast<int64_t>(1 + random() % 4000), seed % 2 == 0 ? 0.0 : 0.2,
                            std::vector<uint64_t>{0, 2, 50, 3000}[random() % 4]};
    for (const DataType& type : all_types()) {
      if (type.is_dictionary || !can_encode_dictionary(type.id)) continue;
      SCOPED_TRACE(type.to_string());
      const Array array = random_array(type, shape, random);
      const Array encoded = encode_always(array);
      ASSERT_TRUE(encoded.is_encoded());
      EXPECT_TRUE(equal_rows(encoded, array)) << seed;
      EXPECT_EQ(encoded.dictionary->null_count, 0);
      const Array entries = encode_always(*encoded.dictionary);
      EXPECT_EQ(entries.dictionary->length, encoded.dictionary->length) << "no value twice";
    }
  }
}

Array numbered_strings(int64_t rows, int64_t distinct) {
  Random random(9);
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (int64_t i = 0; i < rows; ++i) {
    std::string value = "customer-with-a-key-";
    value += std::to_string(random() % static_cast<uint64_t>(distinct));
    builder.append(value);
  }
  return builder.finish();
}

TEST(DictionaryEncoder, PaysUpToAQuarterOfTheRows) {
  EXPECT_TRUE(encode_if_it_pays(numbered_strings(65536, 1)).has_value());
  EXPECT_TRUE(encode_if_it_pays(numbered_strings(65536, 10'000)).has_value());
  EXPECT_FALSE(encode_if_it_pays(numbered_strings(65536, 1'000'000)).has_value());
  EXPECT_FALSE(encode_if_it_pays(numbered_strings(65536, 40'000)).has_value());
  EXPECT_TRUE(
      encode_if_it_pays(string_array({"aaaaaa", "aaaaaa", "aaaaaa", "aaaaaa"})).has_value());
  EXPECT_FALSE(encode_if_it_pays(string_array({"a", "b", "a", "a"})).has_value());
  EXPECT_FALSE(encode_if_it_pays(string_array({"a", "a", "a"})).has_value());
}

TEST(DictionaryEncoder, EmptyStringsDoNotPay) {
  EXPECT_FALSE(encode_if_it_pays(string_array(std::vector<std::string>(100, ""))).has_value());
}

TEST(DictionaryEncoder, SortedRunsPay) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (int64_t i = 0; i < 65536; ++i)
    builder.append("a-key-of-some-length-" + std::to_string(i / 6));
  EXPECT_TRUE(encode_if_it_pays(builder.finish()).has_value());
}

Array encoded_array(const std::vector<int32_t>& codes, const Array& dictionary) {
  Array array;
  array.type = dictionary.type;
  array.length = static_cast<int64_t>(codes.size());
  array.values = fixed_array<int32_t>(DataType::of(TypeId::kInt32), codes).values;
  array.dictionary = std::make_shared<const Array>(dictionary);
  return array;
}

TEST(DictionaryEncoder, CompactsOnlyWhenUnusedEntriesDominate) {
  const Array four = string_array({"a", "b", "c", "d"});
  const Array half_used = encoded_array({3, 1, 3}, four);
  EXPECT_EQ(compact_dictionary(half_used).dictionary, half_used.dictionary);
  const Array one_used = encoded_array({2, 2, 2}, four);
  const Array compacted = compact_dictionary(one_used);
  EXPECT_EQ(compacted.dictionary->length, 1);
  EXPECT_TRUE(equal_rows(compacted, string_array({"c", "c", "c"})));
}

TEST(DictionaryEncoder, CodesBelowNullsAreMadeSound) {
  Array array = encoded_array({0, -1, 99, 1}, string_array({"a", "b"}));
  BitmapBuilder validity;
  for (bool valid : {true, false, false, true}) validity.append(valid);
  array.validity = validity.finish();
  array.null_count = 2;
  const Array sound = compact_dictionary(array);
  for (int i = 0; i < 4; ++i) {
    EXPECT_GE(sound.codes()[i], 0);
    EXPECT_LT(sound.codes()[i], 2);
  }
  EXPECT_EQ(sound.dictionary, array.dictionary);
  EXPECT_TRUE(equal_rows(sound, decode_dictionary(sound)));
  const RecordBatch batch = make_batch({array});
  EXPECT_NO_THROW(open_batch(store(batch), batch.schema).column(0));
}

TEST(DictionaryEncoder, NarrowTypesAreLeftPlain) {
  EXPECT_FALSE(can_encode_dictionary(TypeId::kBool));
  EXPECT_FALSE(can_encode_dictionary(TypeId::kInt16));
  EXPECT_TRUE(can_encode_dictionary(TypeId::kInt32));
  EXPECT_TRUE(can_encode_dictionary(TypeId::kDecimal128));
  EXPECT_TRUE(can_encode_dictionary(TypeId::kBinary));
}

}  // namespace
}  // namespace pystream::storage
