#include "state/key_dictionary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "columns/builder.hpp"

namespace pystream::state {
namespace {

using Text = std::optional<std::string>;

Array strings(const std::vector<Text>& values, TypeId id = TypeId::kString) {
  VarBinaryBuilder builder(DataType::of(id));
  for (const Text& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

template <typename T>
Array numbers(DataType type, const std::vector<std::optional<T>>& values) {
  FixedBuilder<T> builder(type);
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

Array int64s(const std::vector<std::optional<int64_t>>& values) {
  return numbers<int64_t>(DataType::of(TypeId::kInt64), values);
}

Array bools(const std::vector<bool>& values) {
  BitmapBuilder bits;
  for (const bool value : values) bits.append(value);
  Array array;
  array.type = DataType::of(TypeId::kBool);
  array.length = bits.length();
  array.values = bits.finish();
  return array;
}

Array encoded(const Array& dictionary, const std::vector<std::optional<int32_t>>& codes) {
  Array array = numbers<int32_t>(DataType::of(TypeId::kInt32), codes);
  array.type = dictionary.type;
  array.dictionary = std::make_shared<const Array>(dictionary);
  return array;
}

std::vector<uint32_t> ids_of(KeyDictionary* dictionary, const std::vector<Array>& columns) {
  std::vector<const Array*> pointers;
  for (const Array& column : columns) pointers.push_back(&column);
  std::vector<uint32_t> ids(static_cast<size_t>(columns[0].length));
  dictionary->find_or_insert(pointers, columns[0].length, ids.data());
  return ids;
}

KeyDictionary dictionary_of(const std::vector<DataType>& types) { return KeyDictionary(types); }

using Ids = std::vector<uint32_t>;

TEST(KeyDictionary, GivesIdsInOrderOfFirstAppearance) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kInt64)});
  EXPECT_EQ(ids_of(&dictionary, {int64s({7, -7, 7, 0})}), (Ids{1, 2, 1, 3}));
  EXPECT_EQ(ids_of(&dictionary, {int64s({0, 8})}), (Ids{3, 4}));
  EXPECT_EQ(dictionary.size(), 5u);
}

TEST(KeyDictionary, NullIsAKeyOfItsOwn) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kInt64)});
  EXPECT_EQ(ids_of(&dictionary, {int64s({std::nullopt, 0, std::nullopt})}), (Ids{0, 1, 0}));
  const Array back = dictionary.gather(Ids{0, 1})[0];
  EXPECT_FALSE(back.is_valid(0));
  EXPECT_TRUE(back.is_valid(1));
}

TEST(KeyDictionary, TakesAllNaNsAsOneAndBothZerosAsOne) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kFloat64)});
  const Array values = numbers<double>(DataType::of(TypeId::kFloat64), {nan, -nan, 0.0, -0.0, 1.0});
  EXPECT_EQ(ids_of(&dictionary, {values}), (Ids{1, 1, 2, 2, 3}));
  const Array back = dictionary.gather(Ids{2, 1})[0];
  EXPECT_FALSE(std::signbit(back.data<double>()[0]));
  EXPECT_TRUE(std::isnan(back.data<double>()[1]));
}

TEST(KeyDictionary, ComparesStringsByTheirBytes) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kString)});
  const std::string zero("a\0b", 3);
  EXPECT_EQ(ids_of(&dictionary, {strings({"", "a", zero, "a", std::nullopt, ""})}),
            (Ids{1, 2, 3, 2, 0, 1}));
  const Array back = dictionary.gather(Ids{3, 1})[0];
  EXPECT_EQ(back.view(0), zero);
  EXPECT_EQ(back.view(1), "");
}

TEST(KeyDictionary, GivesPlainAndEncodedRowsTheSameIds) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kString)});
  const Ids plain = ids_of(&dictionary, {strings({"x", "y", std::nullopt})});
  const Array rows = encoded(strings({"y", "unused", "x"}), {2, 0, std::nullopt, 2});
  EXPECT_EQ(ids_of(&dictionary, {rows}), (Ids{plain[0], plain[1], 0, plain[0]}));
  EXPECT_EQ(dictionary.size(), 3u) << "an entry without rows gets no id";
}

TEST(KeyDictionary, MeetsNewEntriesOfADictionaryItKnows) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kString)});
  Array first = encoded(strings({"x", "y", "z"}), {1});
  Array second = encoded(*first.dictionary, {0, 1, 2, std::nullopt});
  second.dictionary = first.dictionary;
  EXPECT_EQ(ids_of(&dictionary, {first}), (Ids{1}));
  EXPECT_EQ(ids_of(&dictionary, {second}), (Ids{2, 1, 3, 0}));
}

TEST(KeyDictionary, TakesNullsOverAnEmptyDictionary) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kString)});
  const Array rows = encoded(strings({}), {std::nullopt, std::nullopt});
  EXPECT_EQ(ids_of(&dictionary, {rows}), (Ids{0, 0}));
}

TEST(KeyDictionary, JoinsSeveralColumns) {
  KeyDictionary dictionary = dictionary_of(
      {DataType::of(TypeId::kString), DataType::of(TypeId::kInt64), DataType::of(TypeId::kBool)});
  const std::vector<Array> columns = {encoded(strings({"a", "b"}), {0, 0, 1, std::nullopt, 0}),
                                      int64s({1, 1, 1, std::nullopt, 1}),
                                      bools({true, false, true, true, true})};
  EXPECT_EQ(ids_of(&dictionary, columns), (Ids{1, 2, 3, 4, 1}));
  const std::vector<Array> back = dictionary.gather(Ids{4, 3});
  EXPECT_FALSE(back[0].is_valid(0));
  EXPECT_FALSE(back[1].is_valid(0));
  EXPECT_EQ(back[0].view(1), "b");
  EXPECT_EQ(back[1].data<int64_t>()[1], 1);
  EXPECT_TRUE(get_bit(back[2].values.data, 1));
}

TEST(KeyDictionary, WithoutColumnsHasOneGroup) {
  KeyDictionary dictionary = dictionary_of({});
  Ids ids(3, 9);
  dictionary.find_or_insert({}, 3, ids.data());
  EXPECT_EQ(ids, (Ids{0, 0, 0}));
  EXPECT_EQ(dictionary.size(), 1u);
  EXPECT_TRUE(dictionary.gather(ids).empty());
}

// Every fixed-width type comes back as it went in.
template <typename T>
void expect_round_trip(DataType type, const std::vector<std::optional<T>>& values) {
  KeyDictionary dictionary = dictionary_of({type});
  const Array column = numbers<T>(type, values);
  const Ids ids = ids_of(&dictionary, {column});
  const Array back = dictionary.gather(ids)[0];
  EXPECT_TRUE(equal_rows(column, back)) << type.to_string();
}

TEST(KeyDictionary, ReturnsValuesOfEveryFixedType) {
  expect_round_trip<int8_t>(DataType::of(TypeId::kInt8), {INT8_MIN, 0, INT8_MAX, std::nullopt});
  expect_round_trip<int16_t>(DataType::of(TypeId::kInt16), {INT16_MIN, 0, INT16_MAX});
  expect_round_trip<int32_t>(DataType::of(TypeId::kInt32), {INT32_MIN, 0, INT32_MAX});
  expect_round_trip<int64_t>(DataType::of(TypeId::kInt64), {INT64_MIN, -1, 0, INT64_MAX});
  expect_round_trip<uint8_t>(DataType::of(TypeId::kUInt8), {0, UINT8_MAX});
  expect_round_trip<uint16_t>(DataType::of(TypeId::kUInt16), {0, UINT16_MAX});
  expect_round_trip<uint32_t>(DataType::of(TypeId::kUInt32), {0, UINT32_MAX});
  expect_round_trip<uint64_t>(DataType::of(TypeId::kUInt64), {0, UINT64_MAX});
  expect_round_trip<float>(DataType::of(TypeId::kFloat32), {-1.5f, 0.0f, 3.4e38f});
  expect_round_trip<double>(DataType::of(TypeId::kFloat64), {-1.5, 0.0, 1e308});
  expect_round_trip<int32_t>(DataType::of(TypeId::kDate32), {-719162, 0, 20000});
  expect_round_trip<int64_t>(DataType::timestamp(TimeUnit::kNano, "UTC"), {-1, 0, 1});
  DataType decimal = DataType::of(TypeId::kDecimal128);
  decimal.precision = 38;
  expect_round_trip<__int128>(decimal, {-1, 0, static_cast<__int128>(INT64_MAX) * 1000});
}

TEST(KeyDictionary, ReturnsDeclaredDictionariesEncoded) {
  DataType type = DataType::of(TypeId::kString);
  type.is_dictionary = true;
  KeyDictionary dictionary = dictionary_of({type});
  Array rows = encoded(strings({"x", "y"}), {1, std::nullopt, 0});
  rows.type = type;
  const Ids ids = ids_of(&dictionary, {rows});
  const Array back = dictionary.gather(ids)[0];
  EXPECT_TRUE(back.is_encoded());
  EXPECT_TRUE(equal_rows(rows, back));
}

TEST(KeyDictionary, TranslatesTheKeysOfAnother) {
  const std::vector<DataType> types = {DataType::of(TypeId::kString), DataType::of(TypeId::kInt64)};
  KeyDictionary first = dictionary_of(types);
  KeyDictionary second = dictionary_of(types);
  ids_of(&first, {strings({"a", std::nullopt}), int64s({1, 2})});
  ids_of(&second, {strings({"z", "a", std::nullopt}), int64s({1, 1, 2})});
  Ids translated(second.size());
  first.translate(second, 0, second.size(), translated.data());
  EXPECT_EQ(translated, (Ids{0, 3, 1, 2}));
  EXPECT_EQ(first.size(), 4u);
}

TEST(KeyDictionary, ForgetsDeadKeysAndKeepsTheOrderOfTheRest) {
  const std::vector<DataType> types = {DataType::of(TypeId::kString), DataType::of(TypeId::kInt64)};
  KeyDictionary dictionary = dictionary_of(types);
  ids_of(&dictionary, {strings({"a", "b", std::nullopt, "c"}), int64s({1, 2, 1, std::nullopt})});
  const std::vector<uint8_t> live = {0, 0, 1, 1, 0};
  EXPECT_EQ(dictionary.compact(live), (Ids{0, kNoId, 1, 2, kNoId}));
  EXPECT_EQ(dictionary.size(), 3u);
  const std::vector<Array> back = dictionary.gather(Ids{1, 2});
  EXPECT_EQ(back[0].view(0), "b");
  EXPECT_FALSE(back[0].is_valid(1));
  EXPECT_EQ(back[1].data<int64_t>()[1], 1);
  EXPECT_EQ(ids_of(&dictionary, {strings({"b", "a"}), int64s({2, 1})}), (Ids{1, 3}));
}

TEST(KeyDictionary, ForgetsTheTranslationOfADictionaryWhenCompacted) {
  KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kString)});
  const Array rows = encoded(strings({"a", "b"}), {0, 1});
  ids_of(&dictionary, {rows});
  dictionary.compact(std::vector<uint8_t>{0, 0, 1});
  EXPECT_EQ(ids_of(&dictionary, {rows}), (Ids{2, 1}));
}

TEST(KeyDictionary, GivesBackTheRoomOfABurstWhenCompacted) {
  for (const int64_t step : {int64_t{1}, int64_t{1} << 40}) {  // a range, and far apart
    KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kInt64)});
    ids_of(&dictionary, {int64s({0, step})});
    const int64_t before = dictionary.bytes();
    std::vector<std::optional<int64_t>> burst;
    for (int64_t i = 0; i < 200'000; ++i) burst.push_back(i * step);
    ids_of(&dictionary, {int64s(burst)});
    std::vector<uint8_t> live(dictionary.size(), 0);
    live[1] = live[2] = 1;
    dictionary.compact(live);
    EXPECT_LE(dictionary.bytes(), 2 * before) << "step " << step;
  }
}

// Against std::map, with enough keys for several rehashes and the prefetching loop.
TEST(KeyDictionary, AgreesWithAMapOnManyKeys) {
  std::mt19937_64 random(20260101);
  KeyDictionary words = dictionary_of({DataType::of(TypeId::kInt64)});
  KeyDictionary texts = dictionary_of({DataType::of(TypeId::kBinary)});
  std::map<int64_t, uint32_t> expected;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::optional<int64_t>> keys;
    std::vector<Text> key_texts;
    for (int i = 0; i < 5000; ++i) {
      const auto key = static_cast<int64_t>(random() % 90000) << (random() % 2 * 32);
      keys.push_back(key);
      key_texts.push_back("key " + std::to_string(key));
    }
    const Ids word_ids = ids_of(&words, {int64s(keys)});
    const Ids text_ids = ids_of(&texts, {strings(key_texts, TypeId::kBinary)});
    ASSERT_EQ(word_ids, text_ids);
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto next = static_cast<uint32_t>(expected.size()) + 1;
      ASSERT_EQ(expected.try_emplace(*keys[i], next).first->second, word_ids[i]);
    }
  }
  EXPECT_EQ(words.size(), expected.size() + 1);
  EXPECT_GT(words.bytes(), static_cast<int64_t>(expected.size()) * 8);
}

// Keys that fill a range are indexed by it; each pattern makes the index change form or move.
TEST(KeyDictionary, AgreesWithAMapWhateverTheSpreadOfKeys) {
  const std::vector<std::function<int64_t(int64_t)>> patterns = {
      [](int64_t i) { return i; },
      [](int64_t i) { return -i; },
      [](int64_t i) { return i % 2 == 0 ? i : -i; },
      [](int64_t i) { return i * 7919 % 50021; },                  // fills a range at random
      [](int64_t i) { return i < 1000 ? i : i * 1'000'000'007; },  // a range, then none
      [](int64_t i) { return i < 40 ? i * 100'000 : i; },          // none, then a range
      [](int64_t i) { return i % 2 == 0 ? INT64_MAX - i : INT64_MIN + i; },
      [](int64_t i) { return INT64_MAX - i; },
      [](int64_t i) { return INT64_MIN + i; }};
  for (size_t pattern = 0; pattern < patterns.size(); ++pattern) {
    KeyDictionary dictionary = dictionary_of({DataType::of(TypeId::kInt64)});
    std::map<int64_t, uint32_t> expected;
    for (int64_t begin = 0; begin < 60000; begin += 1500) {
      std::vector<std::optional<int64_t>> keys;
      for (int64_t i = begin - begin / 3; i < begin + 1500; ++i) {
        keys.push_back(patterns[pattern](i));
      }
      const Ids ids = ids_of(&dictionary, {int64s(keys)});
      for (size_t i = 0; i < keys.size(); ++i) {
        const auto next = static_cast<uint32_t>(expected.size()) + 1;
        ASSERT_EQ(expected.try_emplace(*keys[i], next).first->second, ids[i]) << pattern;
      }
    }
    std::vector<uint8_t> live(dictionary.size(), 0);
    for (size_t id = 1; id < live.size(); id += 3) live[id] = 1;
    const std::vector<uint32_t> new_ids = dictionary.compact(live);
    for (const auto& [key, id] : expected) {
      if (live[id] == 0) continue;
      ASSERT_EQ(ids_of(&dictionary, {int64s({key})}), (Ids{new_ids[id]}));
    }
  }
}

}  // namespace
}  // namespace pystream::state
