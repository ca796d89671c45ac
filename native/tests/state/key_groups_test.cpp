#include "state/key_groups.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::state {
namespace {

using Groups = std::vector<int32_t>;

template <typename T>
Array numbers(TypeId id, const std::vector<std::optional<T>>& values) {
  FixedBuilder<T> builder(DataType::of(id));
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

Array texts(const std::vector<std::optional<std::string>>& values) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

Groups groups_of(const std::vector<Array>& columns) {
  std::vector<const Array*> keys;
  for (const Array& column : columns) keys.push_back(&column);
  return key_groups(keys, columns[0].length, kDefaultMaxParallelism);
}

// Computed by tests/oracle/key_groups.py from the rule in docs/formats/state.md.
TEST(KeyGroups, NeverChange) {
  const Array whole = numbers<int64_t>(TypeId::kInt64, {0, 1, -1, 42, std::nullopt});
  EXPECT_EQ(groups_of({whole}), (Groups{111, 30, 55, 4, 91}));
  EXPECT_EQ(groups_of({numbers<int8_t>(TypeId::kInt8, {0, 1, -1, 42, std::nullopt})}),
            (Groups{111, 30, 55, 4, 91}));
  EXPECT_EQ(groups_of({texts({"", "ann", "a longer key than eight", std::nullopt})}),
            (Groups{111, 7, 10, 91}));
  EXPECT_EQ(groups_of({numbers<double>(TypeId::kFloat64, {0.0, 1.5, std::nan("")})}),
            (Groups{111, 62, 127}));
  EXPECT_EQ(groups_of({texts({"ann"}), numbers<int64_t>(TypeId::kInt64, {7})}), Groups{101});
  EXPECT_EQ(groups_of({numbers<int64_t>(TypeId::kInt64, {7}), texts({"ann"})}), Groups{124});
  EXPECT_EQ(key_groups({}, 2, kDefaultMaxParallelism), (Groups{0, 0}));
}

TEST(KeyGroups, FollowTheKeyAndNotItsForm) {
  const Array plain = texts({"b", "a", std::nullopt, "b", "c"});
  EXPECT_EQ(groups_of({encode_dictionary(plain)}), groups_of({plain}));
  const Groups odd =
      groups_of({numbers<double>(TypeId::kFloat64, {0.0, -0.0, std::nan("1"), -std::nan("2")})});
  EXPECT_EQ(odd[0], odd[1]);
  EXPECT_EQ(odd[2], odd[3]);
}

TEST(KeyGroups, OfKeysAreSpreadEvenly) {
  std::vector<std::optional<std::string>> keys;
  for (int i = 0; i < 128'000; ++i) keys.emplace_back("user-" + std::to_string(i));
  std::vector<int> counts(128);
  for (const int32_t group : groups_of({texts(keys)})) ++counts[static_cast<size_t>(group)];
  for (const int count : counts) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
}

TEST(KeyGroupRanges, CoverEveryGroupOnceAndKnowTheirInstance) {
  for (const int groups : {1, 2, 7, 128, 1000, kMostParallelism}) {
    for (const int parallelism : {1, 2, 3, 7, 100, 128}) {
      if (parallelism > groups) continue;
      int next = 0;
      for (int instance = 0; instance < parallelism; ++instance) {
        const KeyGroupRange range = key_group_range(instance, parallelism, groups);
        ASSERT_EQ(range.first, next);
        ASSERT_LE(range.first, range.last);
        for (int group = range.first; group <= range.last; ++group) {
          ASSERT_EQ(instance_of(group, parallelism, groups), instance);
        }
        next = range.last + 1;
      }
      ASSERT_EQ(next, groups);
    }
  }
}

// As Flink's KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex(128, 3, index).
TEST(KeyGroupRanges, AreFlinks) {
  EXPECT_EQ(key_group_range(0, 3, 128), (KeyGroupRange{0, 42}));
  EXPECT_EQ(key_group_range(1, 3, 128), (KeyGroupRange{43, 85}));
  EXPECT_EQ(key_group_range(2, 3, 128), (KeyGroupRange{86, 127}));
}

TEST(KeyGroupRanges, MoreInstancesThanGroupsAreRefused) {
  EXPECT_THROW(key_group_range(0, 129, 128), Error);
  EXPECT_THROW(key_group_range(0, 0, 128), Error);
  EXPECT_THROW(key_group_range(0, 1, kMostParallelism + 1), Error);
}

}  // namespace
}  // namespace pystream::state
