// Windows with a trigger, where it is not about which panes come (the oracle judges those): types,
// ends of the ranges, watermarks below, errors, memory.
#include "windows/triggered_aggregation.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "window_rows.hpp"

namespace pystream::windows {
namespace {

RecordBatch batch_of(const std::vector<int64_t>& keys, const std::vector<int64_t>& times,
                     const std::vector<int64_t>& values = {}) {
  std::vector<std::optional<int64_t>> key(keys.begin(), keys.end());
  std::vector<std::optional<int64_t>> time(times.begin(), times.end());
  std::vector<std::optional<int64_t>> value(values.begin(), values.end());
  if (values.empty()) value.resize(keys.size(), 1);
  const DataType whole = DataType::of(TypeId::kInt64);
  return make_batch({{"key", make_column<int64_t>(whole, key)},
                     {"ts", make_column<int64_t>(whole, time)},
                     {"amount", make_column<int64_t>(whole, value)}});
}

WindowAggregationSpec spec_of(TriggerSpec trigger, int64_t size = 10, int64_t lateness = 0) {
  WindowAggregationSpec spec;
  spec.window = {size, size};
  spec.key_columns = {0};
  spec.event_time_column = 1;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}, {AggregateKind::kSum, 2, "total"}};
  spec.trigger = trigger;
  spec.allowed_lateness = lateness;
  return spec;
}

constexpr TriggerSpec kOnUpdate{1, 0, false, false};

// Emitted rows, each with the watermark that operators below see.
class Triggered {
 public:
  explicit Triggered(const WindowAggregationSpec& spec)
      : aggregation(spec, batch_of({}, {}).schema) {}

  Rows add(const RecordBatch& batch, const std::vector<int64_t>& watermarks) {
    RowWatermarks in_force;
    MutableBuffer buffer;
    buffer.append(watermarks.data(), static_cast<int64_t>(watermarks.size() * sizeof(int64_t)));
    in_force.per_row = buffer.freeze();
    rows_.clear();
    behind += aggregation.add(batch, in_force, &late, collect());
    return rows_;
  }
  Rows advance(int64_t watermark) {
    rows_.clear();
    aggregation.advance(watermark, collect());
    return rows_;
  }

  TriggeredAggregation aggregation;
  std::vector<int32_t> late;
  int64_t behind = 0;

 private:
  EmitPanes collect() {
    return [this](RecordBatch&& batch, Buffer&& watermarks) {
      EXPECT_EQ(*batch.schema, *aggregation.output_schema());
      ASSERT_EQ(watermarks.size, batch.num_rows * 8);
      Rows rows = rows_of(batch);
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].push_back(std::to_string(watermarks.as<int64_t>()[i]));
        rows_.push_back(std::move(rows[i]));
      }
    };
  }

  Rows rows_;
};

TEST(TriggeredAggregation, PanesOfRecordsSeeTheirWatermark) {
  Triggered windows(spec_of(kOnUpdate, 10, 5));
  EXPECT_EQ(windows.add(batch_of({7, 7, 7}, {1, 12, 3}), {kMinWatermark, 0, 11}),
            (Rows{{"7", "0", "10", "1", "1", std::to_string(kMinWatermark)},
                  {"7", "10", "20", "1", "1", "0"},
                  {"7", "0", "10", "2", "2", "11"}}));
  EXPECT_EQ(windows.behind, 1);
  EXPECT_EQ(windows.advance(kMaxWatermark), Rows{});
}

TEST(TriggeredAggregation, PanesOfTimeSeeTheWatermarkBeforeThem) {
  Triggered windows(spec_of({0, 4, true, false}));
  windows.add(batch_of({7, 7}, {1, 2}), {kMinWatermark, 0});
  EXPECT_EQ(windows.advance(3), Rows{});
  EXPECT_EQ(windows.advance(4), (Rows{{"7", "0", "10", "2", "2", "3"}}));
  // 8 and 9, the close, are passed at once.
  EXPECT_EQ(windows.advance(20),
            (Rows{{"7", "0", "10", "2", "2", "7"}, {"7", "0", "10", "2", "2", "8"}}));
}

TEST(TriggeredAggregation, TimerBehindTheWatermarkFiresWithTheNextOne) {
  Triggered windows(spec_of({0, 4, true, false}));
  EXPECT_EQ(windows.add(batch_of({7}, {1}), {6}), Rows{});
  EXPECT_EQ(windows.advance(6), Rows{});
  EXPECT_EQ(windows.advance(7), (Rows{{"7", "0", "10", "1", "1", "6"}}));
  EXPECT_EQ(windows.advance(8), (Rows{{"7", "0", "10", "1", "1", "7"}}));
}

TEST(TriggeredAggregation, TimesReachTheEndsOfTheirType) {
  const int64_t highest = INT64_MAX / 10 * 10 - 1;
  const int64_t lowest = INT64_MIN / 10 * 10;
  Triggered windows(spec_of({0, int64_t{1} << 61, true, false}, 10, INT64_MAX / 2));
  windows.add(batch_of({7, 8}, {lowest, highest}), {kMinWatermark, lowest + 20});
  EXPECT_EQ(windows.late.size(), 0u);
  const Rows rows = windows.advance(kMaxWatermark);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0][2], std::to_string(highest + 1));
  try {
    windows.add(batch_of({7}, {INT64_MAX}), {kMaxWatermark});
    ADD_FAILURE() << "a window does not fit";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    EXPECT_NE(std::string(error.what()).find("column 'ts', row 0"), std::string::npos);
  }
}

TEST(TriggeredAggregation, SumThatDoesNotFitNamesKeyAndWindowOfItsPane) {
  Triggered windows(spec_of(kOnUpdate));
  const RecordBatch batch = batch_of({7, 8, 8}, {1, 21, 22}, {1, INT64_MAX, 1});
  try {
    windows.add(batch, {kMinWatermark, 0, 0});
    ADD_FAILURE() << "the sum wrapped around";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("key = 8 in window [20, 30)"), std::string::npos)
        << error.what();
  }
}

TEST(TriggeredAggregation, TriggersAndLatenessThatDoNotExistAreRefused) {
  const SchemaPtr schema = batch_of({}, {}).schema;
  for (const WindowAggregationSpec& spec :
       {spec_of({-1, 0, true, false}), spec_of({0, -1, true, false}), spec_of(kOnUpdate, 10, -1)}) {
    EXPECT_THROW(TriggeredAggregation(spec, schema), Error);
  }
}

// Keys come and go; those of windows that are open keep what they have.
TEST(TriggeredAggregation, ForgetsKeysOfWindowsThatAreGone) {
  Triggered windows(spec_of({0, 0, true, true}));
  constexpr int64_t kKeys = 50'000;
  int64_t largest = 0;
  for (int64_t round = 0; round < 8; ++round) {
    std::vector<int64_t> keys;
    for (int64_t key = 0; key < kKeys; ++key) keys.push_back(round * kKeys + key);
    keys.push_back(-1);
    const std::vector<int64_t> times(keys.size(), round * 10 + 3);
    windows.add(batch_of(keys, times), std::vector<int64_t>(keys.size(), round * 10 - 1));
    windows.add(batch_of({-1}, {round * 10 + 15}), {round * 10 - 1});
    const Rows rows = windows.advance(round * 10 + 9);
    ASSERT_EQ(rows.size(), static_cast<size_t>(kKeys + 1));
    for (const auto& row : rows) {
      if (row[0] != "-1") continue;
      EXPECT_EQ(row[3], round == 0 ? "1" : "2");
    }
    if (round == 3) largest = windows.aggregation.state_bytes();
  }
  EXPECT_LE(windows.aggregation.state_bytes(), largest);
}

}  // namespace
}  // namespace pystream::windows
