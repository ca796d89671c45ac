// Accumulators of users' functions in snapshots: columns, and objects that their owner writes.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "snapshot_instances.hpp"
#include "windows/user_aggregate.hpp"

namespace pystream::windows {
namespace {

// Sums in a column, and beside it whether they are odd.
class Sums final : public UserAggregate {
 public:
  Sums()
      : UserAggregate({{"sum", DataType::of(TypeId::kInt64), std::vector<uint8_t>(8)},
                       {"is_odd", DataType::of(TypeId::kBool), {0}}},
                      DataType::of(TypeId::kInt64)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    for (size_t i = 0; i < groups.size(); ++i) {
      add_to(states, groups[i], arguments[0].data<int64_t>()[i]);
    }
  }
  void merge(UserStates* states, const UserStates& others) const override {
    for (size_t i = 0; i < static_cast<size_t>(others.count); ++i) {
      add_to(states, i, sums(others)[i]);
    }
  }
  Array results(const UserStates& states) const override {
    std::vector<std::optional<int64_t>> values;
    for (size_t i = 0; i < static_cast<size_t>(states.count); ++i) {
      EXPECT_EQ(states.columns[1][i], sums(states)[i] & 1);
      values.push_back(sums(states)[i]);
    }
    return make_column<int64_t>(result_type(), values);
  }

 private:
  static const int64_t* sums(const UserStates& states) {
    return reinterpret_cast<const int64_t*>(states.columns[0].data());
  }
  static void add_to(UserStates* states, size_t at, int64_t value) {
    int64_t& sum = reinterpret_cast<int64_t*>(states->columns[0].data())[at];
    sum += value;
    states->columns[1][at] = static_cast<uint8_t>(sum & 1);
  }
};

// Objects, of which only the values that came matter, not their order.
class Objects : public UserAggregate {
 public:
  Objects() : UserAggregate({}, DataType::of(TypeId::kString)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    for (size_t i = 0; i < groups.size(); ++i) {
      std::string text = text_of(*states, groups[i]);
      text.push_back(static_cast<char>('a' + (arguments[0].data<int64_t>()[i] & 15)));
      states->objects[groups[i]] = std::make_shared<std::string>(text);
    }
  }
  void merge(UserStates* states, const UserStates& others) const override {
    for (size_t i = 0; i < others.objects.size(); ++i) {
      states->objects[i] = std::make_shared<std::string>(text_of(*states, i) + text_of(others, i));
    }
  }
  Array results(const UserStates& states) const override {
    std::vector<std::optional<std::string>> texts;
    for (size_t i = 0; i < states.objects.size(); ++i) {
      texts.push_back(text_of(states, i));
      std::sort(texts.back()->begin(), texts.back()->end());
    }
    return make_strings(texts);
  }

 protected:
  static std::string text_of(const UserStates& states, size_t at) {
    const auto& held = states.objects[at];
    return held ? *static_cast<const std::string*>(held.get()) : "";
  }
};

class WrittenObjects final : public Objects {
 public:
  Array write_objects(const UserStates& states) const override {
    std::vector<std::optional<std::string>> texts;
    for (size_t i = 0; i < states.objects.size(); ++i) {
      texts.push_back(states.objects[i] ? std::optional(text_of(states, i)) : std::nullopt);
    }
    return make_strings(texts, TypeId::kBinary);
  }
  UserStates read_objects(const Array& column) const override {
    UserStates states;
    states.count = column.length;
    for (int64_t i = 0; i < column.length; ++i) {
      states.objects.push_back(column.is_valid(i) ? std::make_shared<std::string>(column.view(i))
                                                  : nullptr);
    }
    return states;
  }
};

WindowAggregationSpec with_function(std::shared_ptr<const UserAggregate> function) {
  WindowAggregationSpec spec = with_columns(fixed({60, 20}));
  spec.aggregates = {{AggregateKind::kUser, 3, "own"}, {AggregateKind::kCountAll, -1, "n"}};
  spec.aggregates[0].user = std::move(function);
  return spec;
}

TEST(Snapshots, AccumulatorsOfUsersFunctions) {
  for (const std::shared_ptr<const UserAggregate>& function :
       {std::shared_ptr<const UserAggregate>(std::make_shared<Sums>()),
        std::shared_ptr<const UserAggregate>(std::make_shared<WrittenObjects>())}) {
    const WindowAggregationSpec spec = with_function(function);
    for (const int threads : {1, 2}) {
      expect_same_when_restored([&] { return std::make_unique<FixedWindows>(spec, threads); }, {},
                                4);
    }
  }
}

TEST(Snapshots, AccumulatorsThatCannotBeWrittenAreAnError) {
  FixedWindows windows(with_function(std::make_shared<Objects>()), 1);
  Random random(1);
  int64_t clock = 0;
  RowWatermarks lowest;
  MutableBuffer in_force;
  in_force.append(std::vector<int64_t>(10, kMinWatermark).data(), 80);
  lowest.per_row = in_force.freeze();
  windows.add(random_rows(&random, 10, 3, &clock, 5), lowest);
  state::StateWriter writer;
  try {
    windows.snapshot(&writer);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotSupported);
  }
}

}  // namespace
}  // namespace pystream::windows
