// Count windows: when they are complete, what they hold, what is kept and what is forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "window_rows.hpp"
#include "windows/count_aggregation.hpp"

namespace pystream::windows {
namespace {

using Times = std::vector<std::optional<int64_t>>;

CountAggregationSpec counts(int64_t size, int64_t slide) {
  CountAggregationSpec spec;
  spec.size = size;
  spec.slide = slide;
  spec.key_columns = {0};
  spec.event_time_column = 1;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}, {AggregateKind::kSum, 2, "total"}};
  return spec;
}

RecordBatch records(const std::vector<std::optional<std::string>>& keys, const Times& times,
                    const Times& values) {
  return make_batch({{"key", make_strings(keys)},
                     {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                     {"value", make_column<int64_t>(DataType::of(TypeId::kInt64), values)}});
}
RecordBatch records(const std::vector<std::optional<std::string>>& keys, const Times& values) {
  return records(keys, Times(keys.size(), 0), values);
}

class CountHarness {
 public:
  explicit CountHarness(const CountAggregationSpec& spec)
      : aggregation(spec, records({"a"}, {0}).schema) {}

  Rows add(const RecordBatch& batch, const std::vector<int64_t>& per_row = {}) {
    RowWatermarks in_force;
    MutableBuffer buffer;
    buffer.append(per_row.data(), static_cast<int64_t>(per_row.size() * sizeof(int64_t)));
    if (!per_row.empty()) in_force.per_row = buffer.freeze();
    Rows rows;
    watermarks.clear();
    aggregation.add(batch, in_force, [&](RecordBatch&& result, RowWatermarks&& marks) {
      EXPECT_LE(result.num_rows, 65536);
      EXPECT_EQ(*result.schema, *aggregation.output_schema());
      for (auto& row : rows_of(result)) rows.push_back(std::move(row));
      for (int64_t i = 0; i < result.num_rows; ++i) {
        watermarks.push_back(marks.per_row ? marks.per_row.as<int64_t>()[i] : marks.all);
      }
    });
    return rows;
  }

  CountAggregation aggregation;
  std::vector<int64_t> watermarks;  // of the rows emitted last
};

TEST(Counts, AWindowIsCompleteWithItsLastRecordWhateverTheBatches) {
  CountHarness counted(counts(3, 3));
  EXPECT_EQ(counted.add(records({"a", "b", "a"}, {1, 2, 4})), Rows{});
  EXPECT_EQ(counted.add(records({"a", "a", "b", "b"}, {8, 16, 32, 64})),
            (Rows{{"'a'", "0", "1", "3", "13"}, {"'b'", "0", "1", "3", "98"}}));
  EXPECT_EQ(counted.aggregation.open_slices(), 1);
}

TEST(Counts, AKeyMayCompleteManyWindowsInABatch) {
  CountHarness counted(counts(2, 2));
  EXPECT_EQ(counted.add(records({"a", "a", "a", "a", "a"}, {1, 2, 4, 8, 16})),
            (Rows{{"'a'", "0", "1", "2", "3"}, {"'a'", "0", "1", "2", "12"}}));
}

TEST(Counts, SlidingWindowsHoldTheLastRecords) {
  const std::vector<std::optional<std::string>> keys(7, "a");
  CountHarness uneven(counts(3, 2));
  EXPECT_EQ(uneven.add(records(keys, {1, 2, 4, 8, 16, 32, 64})),
            (Rows{{"'a'", "0", "1", "2", "3"},
                  {"'a'", "0", "1", "3", "14"},
                  {"'a'", "0", "1", "3", "56"}}));
  CountHarness each(counts(2, 1));
  EXPECT_EQ(each.add(records({"a", "a", "a"}, {1, 2, 4})), (Rows{{"'a'", "0", "1", "1", "1"},
                                                                 {"'a'", "0", "1", "2", "3"},
                                                                 {"'a'", "0", "1", "2", "6"}}));
  EXPECT_EQ(each.aggregation.open_slices(), 1);
  EXPECT_EQ(each.add(records({"a"}, {8})), (Rows{{"'a'", "0", "1", "2", "12"}}));
}

TEST(Counts, BoundsAreThoseOfTheEventTimes) {
  CountHarness counted(counts(2, 2));
  EXPECT_EQ(counted.add(records({"a", "a"}, {7, -5}, {1, 2})),
            (Rows{{"'a'", "-5", "8", "2", "3"}}));
  EXPECT_THROW(counted.add(records({"a"}, {INT64_MAX}, {1})), Error);
  EXPECT_THROW(counted.add(records({"a"}, {std::nullopt}, {1})), Error);
  // Nothing of those was counted.
  EXPECT_EQ(counted.add(records({"a"}, {INT64_MAX - 1}, {1})), Rows{});
}

TEST(Counts, WithoutEventTimeThereAreNoBounds) {
  CountAggregationSpec spec = counts(2, 2);
  spec.event_time_column = -1;
  CountHarness counted(spec);
  EXPECT_EQ(counted.add(records({"a", "a"}, {std::nullopt, INT64_MAX}, {1, 2})),
            (Rows{{"'a'", "2", "3"}}));
}

TEST(Counts, AResultCarriesTheWatermarkOfTheRecordThatCompletedIt) {
  CountHarness counted(counts(2, 2));
  counted.add(records({"a", "b", "b", "a"}, {1, 2, 4, 8}), {3, 5, 7, 9});
  EXPECT_EQ(counted.watermarks, (std::vector<int64_t>{7, 9}));
}

TEST(Counts, SizesAreCheckedWhenTheWindowsAreMade) {
  for (const auto& [size, slide] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 0}, {-1, 1}, {1, 0}, {2, 3}, {2, -1}}) {
    EXPECT_THROW(CountHarness(counts(size, slide)), Error);
  }
}

TEST(Counts, WindowsOfManySlicesAreMergedNowAndThenWithinABatch) {
  const int64_t size = 1500;
  const int64_t rows = 3000;
  CountHarness counted(counts(size, 1));
  Times values;
  for (int64_t i = 0; i < rows; ++i) values.push_back(i);
  const Rows found = counted.add(
      records(std::vector<std::optional<std::string>>(static_cast<size_t>(rows), "a"), values));
  ASSERT_EQ(static_cast<int64_t>(found.size()), rows);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t n = std::min(i + 1, size);
    EXPECT_EQ(found[static_cast<size_t>(i)],
              (std::vector<std::string>{"'a'", "0", "1", std::to_string(n),
                                        std::to_string(n * i - n * (n - 1) / 2)}));
  }
  EXPECT_EQ(counted.aggregation.open_slices(), size - 1);
}

// What is summed up of several slices is let go with them, and so are the rows of results.
TEST(CountState, WindowsOfManySlicesHoldWhatTheyNeed) {
  const int64_t size = 20;
  CountHarness counted(counts(size, 1));
  std::vector<std::optional<std::string>> keys;
  Times values;
  for (int64_t i = 0; i < 20'000; ++i) {
    keys.push_back(std::string(1, static_cast<char>('a' + i % 3)));
    values.push_back(i);
  }
  int64_t once = 0;
  for (int round = 0; round < 6; ++round) {
    const Rows rows = counted.add(records(keys, values));
    ASSERT_EQ(rows.size(), keys.size());
    EXPECT_LE(counted.aggregation.open_slices(), 3 * size);
    if (round == 1) once = counted.aggregation.state_bytes();
  }
  EXPECT_EQ(counted.aggregation.state_bytes(), once);
}

TEST(CountState, KeysWithoutRecordsAreForgotten) {
  CountHarness counted(counts(2, 2));
  const int64_t keys = 100'000;
  counted.add(records({"stays"}, {1}));
  int64_t largest = 0;
  for (int64_t round = 0; round < 6; ++round) {
    std::vector<std::optional<std::string>> names;
    for (int64_t i = 0; i < 2 * keys; ++i) names.push_back(std::to_string(round * keys + i / 2));
    const Rows rows = counted.add(records(names, Times(names.size(), 1)));
    ASSERT_EQ(static_cast<int64_t>(rows.size()), keys);
    EXPECT_EQ(rows.back(),
              (std::vector<std::string>{"'" + std::to_string(round * keys + keys - 1) + "'", "0",
                                        "1", "2", "2"}));
    if (round == 1) largest = counted.aggregation.state_bytes();
  }
  EXPECT_LE(counted.aggregation.state_bytes(), 2 * largest);
  EXPECT_EQ(counted.add(records({"stays"}, {2})), (Rows{{"'stays'", "0", "1", "2", "3"}}));
  EXPECT_EQ(counted.aggregation.open_slices(), 0);
}

}  // namespace
}  // namespace pystream::windows
