// The accumulators of a user's function: when it is asked, with what, and in which order.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "state/limits.hpp"
#include "window_rows.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/row_accumulator.hpp"
#include "windows/user_state.hpp"

namespace pystream::windows {
namespace {

struct Calls {
  std::vector<int64_t> adds;    // rows of each call
  std::vector<int64_t> merges;  // accumulators of each call
  int copies = 0;               // of objects that were in use elsewhere
};

// Puts numbers after each other: nothing is lost, doubled or out of order without being seen.
class Joining final : public UserAggregate {
 public:
  explicit Joining(Calls* calls)
      : UserAggregate({}, DataType::of(TypeId::kString)), calls_(calls) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    calls_->adds.push_back(arguments[0].length);
    for (size_t i = 0; i < groups.size(); ++i) {
      append(states, groups[i], std::to_string(arguments[0].data<int64_t>()[i]) + " ");
    }
  }
  void merge(UserStates* states, const UserStates& others) const override {
    calls_->merges.push_back(states->count);
    ASSERT_EQ(states->count, others.count);
    for (size_t i = 0; i < others.objects.size(); ++i) append(states, i, text(others, i));
  }
  Array results(const UserStates& states) const override {
    std::vector<std::optional<std::string>> texts;
    for (size_t i = 0; i < states.objects.size(); ++i) texts.push_back(text(states, i));
    return make_strings(texts);
  }

 private:
  static std::string text(const UserStates& states, size_t at) {
    const auto& held = states.objects[at];
    return held ? *static_cast<const std::string*>(held.get()) : "";
  }
  void append(UserStates* states, size_t at, const std::string& more) const {
    auto& held = states->objects[at];
    if (held.use_count() == 1) {
      *static_cast<std::string*>(const_cast<void*>(held.get())) += more;
      return;
    }
    if (held) ++calls_->copies;
    held = std::make_shared<std::string>(text(*states, at) + more);
  }

  Calls* calls_;
};

// Counts from a hundred on, in one byte.
class Counting final : public UserAggregate {
 public:
  Counting()
      : UserAggregate({{"n", DataType::of(TypeId::kUInt8), {100}}}, DataType::of(TypeId::kInt64)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array>) const override {
    for (const uint32_t group : groups) ++states->columns[0][group];
  }
  void merge(UserStates* states, const UserStates& others) const override {
    for (size_t i = 0; i < others.columns[0].size(); ++i) {
      states->columns[0][i] =
          static_cast<uint8_t>(states->columns[0][i] + others.columns[0][i] - 100);
    }
  }
  Array results(const UserStates& states) const override {
    return make_column<int64_t>(result_type(),
                                {states.columns[0].begin(), states.columns[0].end()});
  }
};

class UserStateTest : public ::testing::Test {
 protected:
  static void add(SideState* to, const std::vector<std::optional<int64_t>>& values,
                  const std::vector<uint32_t>& slots) {
    const Array column = make_column<int64_t>(DataType::of(TypeId::kInt64), values);
    to->add({column, nullptr, 0, column.length, slots.data()});
  }
  static std::string at(const SideState& state, uint32_t slot) {
    return value_text(state.emit({}, {&slot, 1}), 0);
  }
  UserState make(int64_t slots) const {
    UserState state(function, {});
    state.resize(slots);
    return state;
  }

  Calls calls;
  std::shared_ptr<const UserAggregate> function = std::make_shared<Joining>(&calls);
};

TEST_F(UserStateTest, RowsWaitAndGoTogether) {
  UserState state = make(4);
  add(&state, {1, 2, 3}, {3, 1, 3});
  add(&state, {4}, {1});
  EXPECT_TRUE(calls.adds.empty());
  state.settle();
  EXPECT_EQ(calls.adds, std::vector<int64_t>{4});
  state.settle();
  EXPECT_EQ(at(state, 1), "'2 4 '");
  EXPECT_EQ(at(state, 3), "'1 3 '");
  EXPECT_EQ(at(state, 0), "''");
  EXPECT_EQ(calls.adds.size(), 1u);
}

TEST_F(UserStateTest, RowsThatWaitAreHandedOverBeforeTheirSlotsAreAskedFor) {
  UserState state = make(3);
  add(&state, {1, 2}, {0, 1});
  EXPECT_EQ(at(state, 0), "'1 '");
  add(&state, {3}, {0});
  UserState other = make(1);
  add(&other, {4}, {0});
  const uint32_t slot = 0;
  state.merge(other, &slot, &slot, 1);
  EXPECT_EQ(at(state, 0), "'1 3 4 '");
  add(&state, {5, 6}, {1, 2});
  state.clear(1);
  EXPECT_EQ(at(state, 1), "''");
  EXPECT_EQ(at(state, 2), "'6 '");
}

TEST_F(UserStateTest, SlotsWithoutRowsAreCopiedIntoAndNotAskedAbout) {
  UserState from = make(3);
  add(&from, {1, 2}, {0, 1});
  UserState state = make(3);
  const uint32_t slots[] = {2, 1, 0};
  const uint32_t sources[] = {0, 1, 2};
  state.merge(from, slots, sources, 3);
  EXPECT_TRUE(calls.merges.empty());
  EXPECT_EQ(at(state, 2) + at(state, 1) + at(state, 0), "'1 ''2 '''");
  // What both have in common is not changed through either.
  add(&state, {3}, {2});
  add(&from, {4}, {0});
  EXPECT_EQ(at(state, 2), "'1 3 '");
  EXPECT_EQ(at(from, 0), "'1 4 '");
  EXPECT_EQ(calls.copies, 1);  // the second had it alone
}

TEST_F(UserStateTest, ManyPartsOfOneSlotAreMergedInOrderByFewCalls) {
  constexpr uint32_t kParts = 1000;
  UserState from = make(kParts);
  std::vector<std::optional<int64_t>> values;
  for (uint32_t i = 0; i < kParts; ++i) values.emplace_back(i);
  std::vector<uint32_t> sources(kParts);
  std::iota(sources.begin(), sources.end(), 0u);
  add(&from, values, sources);
  std::vector<uint32_t> targets;
  std::string expected[3];
  for (uint32_t i = 0; i < kParts; ++i) {
    targets.push_back(i % 7 == 0 ? 0 : i % 5 == 0 ? 1 : 2);
    expected[targets.back()] += std::to_string(i) + " ";
  }
  UserState state = make(3);
  state.merge(from, targets.data(), sources.data(), kParts);
  for (uint32_t slot = 0; slot < 3; ++slot) {
    EXPECT_EQ(decode_dictionary(state.emit({}, {&slot, 1})).view(0), expected[slot]);
  }
  EXPECT_LE(calls.merges.size(), 11u);
  for (uint32_t i = 0; i < kParts; ++i) {
    ASSERT_EQ(at(from, i), "'" + std::to_string(i) + " '");
  }
}

TEST_F(UserStateTest, ATableThatChangesItsFormAsksNothing) {
  AggregateSpec spec{AggregateKind::kUser, 0, "r"};
  spec.user = function;
  const Schema schema{{{"x", DataType::of(TypeId::kInt64), true}}};
  const AccumulatorLayout layout = make_layout({&spec, 1}, schema, true);
  RowAccumulator accumulator(&layout);
  AccumulatorTable table(&layout);
  RecordBatch batch;
  batch.schema = std::make_shared<Schema>(schema);
  batch.columns = {make_column<int64_t>(DataType::of(TypeId::kInt64), {1, 2, 3, 4})};
  batch.num_rows = 4;
  const std::vector<uint32_t> ids = {70'000, 5, 70'000, 9};
  table.prepare(100'000, false);
  accumulator.add(&table, batch, ids.data(), {0, 4});
  ASSERT_FALSE(table.is_dense());
  std::vector<uint32_t> new_ids(100'000, state::kNoId);
  new_ids[5] = 0;
  new_ids[9] = 1;
  new_ids[70'000] = 2;
  table.remap(new_ids);
  table.prepare(3, false);
  ASSERT_TRUE(table.is_dense());
  EXPECT_TRUE(calls.adds.empty());
  EXPECT_TRUE(calls.merges.empty());
  table.settle();
  EXPECT_EQ(calls.adds, std::vector<int64_t>{4});
  EXPECT_EQ(at(*table.side(0), 2), "'1 3 '");
  EXPECT_EQ(at(*table.side(0), 0), "'2 '");
  EXPECT_EQ(calls.copies, 0);
}

TEST_F(UserStateTest, ACopyOfATableIsIndependent) {
  UserState state = make(1);
  add(&state, {1}, {0});
  const auto copy = state.clone();
  EXPECT_EQ(calls.adds.size(), 1u);  // once, not here and there
  add(&state, {2}, {0});
  EXPECT_EQ(at(*copy, 0), "'1 '");
  EXPECT_EQ(at(state, 0), "'1 2 '");
}

TEST_F(UserStateTest, ColumnsBeginWithTheirInitialValue) {
  function = std::make_shared<Counting>();
  UserState state = make(2);
  add(&state, {7, 7, 7}, {1, 1, 1});
  EXPECT_EQ(at(state, 0), "100");
  EXPECT_EQ(at(state, 1), "103");
  state.resize(5);
  const uint32_t slots[] = {4, 4, 0};
  const uint32_t sources[] = {1, 1, 2};
  state.merge(UserState(state), slots, sources, 3);
  EXPECT_EQ(at(state, 4), "106");
  EXPECT_EQ(at(state, 0), "100");
  state.clear(1);
  EXPECT_EQ(at(state, 1), "100");
  EXPECT_GT(state.bytes(), 0);
}

}  // namespace
}  // namespace pystream::windows
