// State beside the accumulator rows: what every kind must do when slots are copied, merged and
// emptied.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/stable_hash.hpp"
#include "window_rows.hpp"
#include "windows/dd_sketch.hpp"
#include "windows/side_state.hpp"
#include "windows/slot_arena.hpp"

namespace pystream::windows {
namespace {

TEST(SlotArena, KeepsWhatIsInARunThatGrowsAndReusesThePlaceItLeaves) {
  SlotArena<int32_t> arena;
  arena.resize(2);
  EXPECT_FALSE(arena.has(0));
  const int32_t first[] = {1, 2, 3};
  arena.assign(0, first, 3);
  arena.assign(1, nullptr, 0);  // nothing, but there
  EXPECT_TRUE(arena.has(1));
  EXPECT_EQ(arena.size(1), 0);
  const int64_t left = arena.data(0) - arena.data(1);
  arena.reserve(0, 100);
  EXPECT_EQ(arena.capacity(0), 128);
  EXPECT_EQ(std::vector<int32_t>(arena.data(0), arena.data(0) + arena.size(0)),
            (std::vector<int32_t>{1, 2, 3}));
  arena.resize(3);
  arena.assign(2, first, 1);
  EXPECT_EQ(arena.data(2) - arena.data(1), left);
  const int64_t bytes = arena.bytes();
  arena.clear(0);
  EXPECT_FALSE(arena.has(0));
  arena.reserve(1, 128);
  EXPECT_LE(arena.bytes(), bytes + 64);
}

struct Kind {
  SideLayout side;
  Array values;                       // v0, v1, v2, v3; of times 5, 5, 5, 9
  std::optional<Array> by;            // what decides, where anything does
  std::vector<std::string> expected;  // of v0 and v1, of v2, of v0, v1, v2
};

std::vector<Kind> kinds() {
  const Array texts = make_strings({"b", "a", "c", "a longer text than fits anywhere"});
  const Array numbers = make_column<int32_t>(DataType::of(TypeId::kInt32), {10, 20, 30, 40});
  const Array by = make_column<double>(DataType::of(TypeId::kFloat64), {2, 1, 1, 3});
  DataType decimal = DataType::of(TypeId::kDecimal128);
  decimal.precision = 10;
  const Array wide = make_column<__int128>(decimal, {2, 1, 1, -3});
  const auto side = [](SideKind kind, const Array* by = nullptr) {
    return SideLayout{kind, 0, by == nullptr ? -1 : 1, by == nullptr ? DataType{} : by->type};
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Array ends =
      make_column<double>(DataType::of(TypeId::kFloat64), {0, kInfinity, -kInfinity, 1});
  const auto best = [&](SideKind kind) {
    SideLayout layout = side(kind);
    layout.k = 2;
    return layout;
  };
  SideLayout sketch = side(SideKind::kDDSketch);
  sketch.relative_error = 0.01;
  return {{side(SideKind::kMinText), texts, {}, {"'a'", "'c'", "'a'"}},
          {side(SideKind::kMaxText), texts, {}, {"'b'", "'c'", "'c'"}},
          {side(SideKind::kFirst), texts, {}, {"'b'", "'c'", "'b'"}},
          {side(SideKind::kLast), texts, {}, {"'a'", "'c'", "'c'"}},
          {side(SideKind::kFirst), numbers, {}, {"10", "30", "10"}},
          {side(SideKind::kLast), numbers, {}, {"20", "30", "30"}},
          {side(SideKind::kArgMin, &by), numbers, by, {"20", "30", "20"}},
          {side(SideKind::kArgMax, &by), texts, by, {"'b'", "'c'", "'b'"}},
          {side(SideKind::kArgMin, &wide), numbers, wide, {"20", "30", "20"}},
          {side(SideKind::kArgMax, &wide), numbers, wide, {"10", "30", "10"}},
          {side(SideKind::kDistinct), texts, {}, {"2", "1", "3"}},
          {side(SideKind::kDistinct), numbers, {}, {"2", "1", "3"}},
          {side(SideKind::kHyperLogLog), texts, {}, {"2", "1", "3"}},
          {side(SideKind::kHyperLogLog), numbers, {}, {"2", "1", "3"}},
          {sketch, ends, {}, {"0", "-inf", "-inf"}},
          {side(SideKind::kCollected), texts, {}, {"['b', 'a']", "['c']", "['b', 'a', 'c']"}},
          {side(SideKind::kCollected), numbers, {}, {"[10, 20]", "[30]", "[10, 20, 30]"}},
          {best(SideKind::kTopK), texts, {}, {"['b', 'a']", "['c']", "['c', 'b']"}},
          {best(SideKind::kBottomK), texts, {}, {"['a', 'b']", "['c']", "['a', 'b']"}},
          {best(SideKind::kTopK), numbers, {}, {"[20, 10]", "[30]", "[30, 20]"}},
          {best(SideKind::kBottomK), numbers, {}, {"[10, 20]", "[30]", "[10, 20]"}},
          {best(SideKind::kTopK), ends, {}, {"[inf, 0]", "[-inf]", "[inf, 0]"}},
          {best(SideKind::kBottomK), ends, {}, {"[0, inf]", "[-inf]", "[-inf, 0]"}}};
}

class SideStates : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    InputLayout input;
    input.type = GetParam().values.type;
    side = make_side(GetParam().side, input);
    side->resize(4);
    const SideKind kind = GetParam().side.kind;
    const bool is_count = kind == SideKind::kDistinct || kind == SideKind::kHyperLogLog;
    const bool is_list =
        kind == SideKind::kCollected || kind == SideKind::kTopK || kind == SideKind::kBottomK;
    const DataType one = is_count ? DataType::of(TypeId::kInt64) : input.type;
    result.field = {"r", is_list ? DataType::list_of(one) : one, true};
  }

  static void add(SideState* to, const std::vector<int32_t>& rows,
                  const std::vector<uint32_t>& slots) {
    static constexpr int64_t kTimes[] = {5, 5, 5, 9};
    const Kind& kind = GetParam();
    to->add({kind.values, rows.data(), 0, static_cast<int64_t>(rows.size()), slots.data(),
             kind.by ? &*kind.by : nullptr, kTimes, 100});
  }
  std::string at(const SideState& state, uint32_t slot) const {
    return value_text(state.emit(result, {&slot, 1}), 0);
  }
  static void merge(SideState* to, uint32_t slot, const SideState& from, uint32_t other) {
    to->merge(from, &slot, &other, 1);
  }

  std::unique_ptr<SideState> side;
  ResultLayout result;
};

TEST_P(SideStates, AddsRowsToTheirSlots) {
  add(side.get(), {0, 2, 1}, {1, 3, 1});
  EXPECT_EQ(at(*side, 1), GetParam().expected[0]);
  EXPECT_EQ(at(*side, 3), GetParam().expected[1]);
}

TEST_P(SideStates, CopyIsIndependent) {
  add(side.get(), {0, 1}, {0, 0});
  const auto copy = side->clone();
  add(side.get(), {2, 3}, {0, 0});
  side->clear(0);
  EXPECT_EQ(at(*copy, 0), GetParam().expected[0]);
}

TEST_P(SideStates, MergesInEitherDirection) {
  add(side.get(), {0, 1}, {0, 0});
  const auto other = side->clone();
  other->clear(0);
  add(other.get(), {2}, {2});
  const auto copy = side->clone();
  merge(side.get(), 0, *other, 2);
  EXPECT_EQ(at(*side, 0), GetParam().expected[2]);
  merge(other.get(), 2, *copy, 0);
  EXPECT_EQ(at(*other, 2), GetParam().expected[2]);
  merge(other.get(), 1, *copy, 0);  // into an empty slot
  EXPECT_EQ(at(*other, 1), GetParam().expected[0]);
  merge(other.get(), 1, *copy, 3);  // of an empty slot
  EXPECT_EQ(at(*other, 1), GetParam().expected[0]);
}

TEST_P(SideStates, MergesSlotsOfOneState) {
  add(side.get(), {0, 1, 2}, {0, 0, 3});
  merge(side.get(), 3, *side, 0);
  EXPECT_EQ(at(*side, 3), GetParam().expected[2]);
  EXPECT_EQ(at(*side, 0), GetParam().expected[0]);
}

TEST_P(SideStates, ClearedSlotIsAsNewAndItsMemoryIsUsedAgain) {
  const std::string empty = at(*side, 0);
  int64_t bytes = 0;
  for (int round = 0; round < 1000; ++round) {
    add(side.get(), {3, 0, 1, 2}, {0, 0, 1, 2});
    for (uint32_t slot = 0; slot < 4; ++slot) side->clear(slot);
    if (round == 10) bytes = side->bytes();
  }
  EXPECT_EQ(at(*side, 0), empty);
  EXPECT_LE(side->bytes(), bytes);
  add(side.get(), {0, 1}, {0, 0});
  EXPECT_EQ(at(*side, 0), GetParam().expected[0]);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SideStates, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return std::to_string(info.index); });

Array texts_from(int64_t first, int64_t count) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (int64_t i = first; i < first + count; ++i) builder.append("user-" + std::to_string(i));
  return builder.finish();
}

TEST(SideLayouts, AreSharedByAggregatesThatNeedTheSame) {
  Schema schema;
  schema.fields = {{"v", DataType::of(TypeId::kInt64), true},
                   {"by", DataType::of(TypeId::kInt64), true}};
  AggregateSpec median{AggregateKind::kApproxQuantile, 0, "median"};
  median.quantile = 0.5;
  median.relative_error = 0.01;
  AggregateSpec most = median;
  most.quantile = 0.99;
  AggregateSpec exact = median;
  exact.relative_error = 0.001;
  AggregateSpec other = median;
  other.input = 1;
  AggregateSpec several = median;
  several.kind = AggregateKind::kApproxQuantiles;
  several.quantiles = {0.5, 0.99};
  AggregateSpec top{AggregateKind::kTopK, 0, "top"};
  top.k = 3;
  AggregateSpec top_more = top;
  top_more.k = 4;
  AggregateSpec by{AggregateKind::kArgMin, 0, "by"};
  by.by = 1;
  AggregateSpec by_itself = by;
  by_itself.by = 0;
  const auto sides = [&](const std::vector<AggregateSpec>& aggregates) {
    return make_layout(aggregates, schema, true).sides.size();
  };
  EXPECT_EQ(sides({median, most}), 1u);
  EXPECT_EQ(sides({median, most, exact}), 2u);
  EXPECT_EQ(sides({median, other}), 2u);
  EXPECT_EQ(sides({median, several}), 1u);
  EXPECT_EQ(sides({top, top}), 1u);
  EXPECT_EQ(sides({top, top_more}), 2u);
  EXPECT_EQ(sides({by, by}), 1u);
  EXPECT_EQ(sides({by, by_itself}), 2u);
  EXPECT_EQ(sides({{AggregateKind::kCount, 0, "n"}, {AggregateKind::kSum, 0, "s"}}), 0u);
}

TEST(QuantileBuckets, AreInTheOrderOfTheirValuesAndWithinTheErrorOfThem) {
  constexpr double kLeast = std::numeric_limits<double>::min();
  constexpr double kMost = std::numeric_limits<double>::max();
  for (const double error : {kLeastRelativeError, 0.01, 0.1, kMostRelativeError}) {
    const QuantileBuckets buckets(error);
    uint32_t before = 0;
    for (const double value : {-kMost, -2.0, -1.0, -kLeast, 0.0, kLeast, 1.0, 2.0, kMost}) {
      const uint32_t bucket = buckets.bucket_of(value);
      EXPECT_GT(bucket, before) << value;
      EXPECT_LE(std::fabs(buckets.value_of(bucket) - value), error * (1 + 1e-9) * std::fabs(value));
      before = bucket;
    }
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_EQ(buckets.bucket_of(-infinity), 0u);
    EXPECT_EQ(buckets.value_of(buckets.bucket_of(infinity)), infinity);
    EXPECT_GT(buckets.bucket_of(infinity), before);
    EXPECT_GT(buckets.nan_bucket(), buckets.bucket_of(infinity));
    EXPECT_LT(buckets.nan_bucket(), kNoKey);
    EXPECT_EQ(buckets.bucket_of(-0.0), buckets.bucket_of(0.0));
  }
}

// Slots come and go, and values with them; slot 1 stays.
TEST(DistinctValues, ForgetsValuesThatNoSlotHasAnyMore) {
  InputLayout input;
  input.type = DataType::of(TypeId::kString);
  const auto side = make_side({SideKind::kDistinct, 0, -1, {}}, input);
  side->resize(2);
  const auto add = [&](uint32_t slot, int64_t first, int64_t count) {
    const std::vector<uint32_t> slots(static_cast<size_t>(count), slot);
    side->add({texts_from(first, count), nullptr, 0, count, slots.data()});
  };
  const auto count = [&](uint32_t slot) {
    ResultLayout result;
    result.field.type = DataType::of(TypeId::kInt64);
    return side->emit(result, {&slot, 1}).data<int64_t>()[0];
  };
  add(1, -100, 100);
  int64_t bytes = 0;
  for (int64_t round = 0; round < 200; ++round) {
    add(0, 500 * round, 500);
    EXPECT_EQ(count(0), 500);
    side->clear(0);
    if (round == 20) bytes = side->bytes();
  }
  EXPECT_LE(side->bytes(), bytes);
  add(1, -150, 100);
  EXPECT_EQ(count(1), 150);
}

// From sparse to dense, in every combination of the two that are merged.
TEST(HyperLogLog, IsTheSameHoweverItWasMerged) {
  InputLayout input;
  input.type = DataType::of(TypeId::kString);
  ResultLayout result;
  result.field.type = DataType::of(TypeId::kInt64);
  for (const int64_t total : {2000, 2049, 3000, 9000}) {
    for (const int64_t cut : {int64_t{1}, int64_t{1000}, total - 1000, total - 1}) {
      const auto side = make_side({SideKind::kHyperLogLog, 0, -1, {}}, input);
      side->resize(3);
      const auto add = [&](uint32_t slot, int64_t first, int64_t count) {
        const std::vector<uint32_t> slots(static_cast<size_t>(count), slot);
        side->add({texts_from(first, count), nullptr, 0, count, slots.data()});
      };
      add(0, 0, total);
      add(1, 0, cut);
      add(2, cut, total - cut);
      const uint32_t into = 1;
      const uint32_t from = 2;
      side->merge(*side, &into, &from, 1);
      const uint32_t slots[] = {0, 1};
      const Array estimates = side->emit(result, slots);
      EXPECT_EQ(estimates.data<int64_t>()[0], estimates.data<int64_t>()[1]);
      EXPECT_NEAR(static_cast<double>(estimates.data<int64_t>()[0]), static_cast<double>(total),
                  0.0081 * 3 * static_cast<double>(total));
    }
  }
}

// The word with that stable_hash_u64().
uint64_t word_with_hash(uint64_t hash) {
  uint64_t z = hash ^ (hash >> 31) ^ (hash >> 62);
  z *= 0x319642b2d24d8ec3;
  z = z ^ (z >> 27) ^ (z >> 54);
  z *= 0x96de1b173f119089;
  z = z ^ (z >> 30) ^ (z >> 60);
  return z - 0x9e3779b97f4a7c15;
}

// Ever better texts push each other out: what is pushed out does not stay in memory.
TEST(BestTexts, HoldOnlyWhatIsAmongTheBest) {
  InputLayout input;
  input.type = DataType::of(TypeId::kString);
  SideLayout layout{SideKind::kTopK, 0, -1, {}};
  layout.k = 3;
  const auto side = make_side(layout, input);
  side->resize(1);
  int64_t bytes = 0;
  for (int64_t first = 10'000; first < 60'000; first += 1000) {
    const std::vector<uint32_t> slots(1000, 0);
    side->add({texts_from(first, 1000), nullptr, 0, 1000, slots.data()});
    if (first == 12'000) bytes = side->bytes();
  }
  EXPECT_LE(side->bytes(), bytes);
  const uint32_t slot = 0;
  ResultLayout result;
  result.field.type = DataType::list_of(input.type);
  EXPECT_EQ(value_text(side->emit(result, {&slot, 1}), 0),
            "['user-59999', 'user-59998', 'user-59997']");
}

Array add_numbers(SideState* side, const std::vector<std::optional<int64_t>>& values) {
  const Array column = make_column<int64_t>(DataType::of(TypeId::kInt64), values);
  const std::vector<uint32_t> slots(values.size(), 0);
  side->add({column, nullptr, 0, column.length, slots.data()});
  const uint32_t slot = 0;
  ResultLayout result;
  result.field.type = DataType::of(TypeId::kInt64);
  return side->emit(result, {&slot, 1});
}

// Values whose registers are told from others only by the bits that a dense register drops: all of
// them are zero. The first pass adds most of them to the sparse form, the second to the dense one.
TEST(HyperLogLog, AddingTheSameValuesAgainChangesNothing) {
  std::vector<std::optional<int64_t>> values;
  for (uint64_t number = 0; number < 3000; ++number) {
    const uint64_t hash = number << 50 | uint64_t{1} << 38;
    const uint64_t word = word_with_hash(hash);
    ASSERT_EQ(stable_hash_u64(word), hash);
    values.emplace_back(static_cast<int64_t>(word));
  }
  InputLayout input;
  input.type = DataType::of(TypeId::kInt64);
  const auto side = make_side({SideKind::kHyperLogLog, 0, -1, {}}, input);
  side->resize(1);
  const int64_t once = add_numbers(side.get(), values).data<int64_t>()[0];
  const int64_t twice = add_numbers(side.get(), values).data<int64_t>()[0];
  EXPECT_EQ(once, twice);
}

TEST(DistinctValues, AreTheSameInDictionariesThatCameAboutDifferently) {
  InputLayout input;
  input.type = DataType::of(TypeId::kInt64);
  const auto side = make_side({SideKind::kDistinct, 0, -1, {}}, input);
  const auto other = make_side({SideKind::kDistinct, 0, -1, {}}, input);
  side->resize(1);
  other->resize(1);
  add_numbers(side.get(), {1, 2, 3});
  add_numbers(other.get(), {4, 3});
  const uint32_t slot = 0;
  side->merge(*other, &slot, &slot, 1);
  EXPECT_EQ(add_numbers(side.get(), {2}).data<int64_t>()[0], 4);
}

TEST(DDSketch, FindsTheValueOfARank) {
  InputLayout input;
  input.type = DataType::of(TypeId::kFloat64);
  SideLayout layout{SideKind::kDDSketch, 0, -1, {}};
  layout.relative_error = 0.001;
  const double nan = std::nan("");
  const Array values =
      make_column<double>(input.type, {50, -20, nan, 10, 0, -40, 30, nan, 70, -60});
  const std::vector<double> sorted = {-60, -40, -20, 0, 10, 30, 50, 70};
  const auto side = make_side(layout, input);
  side->resize(1);
  const std::vector<uint32_t> slots(10, 0);
  side->add({values, nullptr, 0, 10, slots.data()});
  const uint32_t slot = 0;
  ResultLayout result;
  result.field.type = input.type;
  for (const double quantile : {0.0, 0.1, 0.15, 0.5, 0.9, 1.0}) {
    result.quantile = quantile;
    const double exact = sorted[static_cast<size_t>(quantile * 7)];
    EXPECT_NEAR(side->emit(result, {&slot, 1}).data<double>()[0], exact,
                0.001 * (1 + 1e-9) * std::fabs(exact));
  }
}

}  // namespace
}  // namespace pystream::windows
