// Windows, watermarks and late rows, with the expected rows written out.
#include "windows/window_aggregation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "window_rows.hpp"

namespace pystream::windows {
namespace {

struct Row {
  std::optional<std::string> key;
  int64_t time;
  std::optional<int64_t> value;
};

RecordBatch batch_of(const std::vector<Row>& rows) {
  std::vector<std::optional<std::string>> keys;
  std::vector<std::optional<int64_t>> times, values;
  for (const Row& row : rows) {
    keys.push_back(row.key);
    times.push_back(row.time);
    values.push_back(row.value);
  }
  return make_batch({{"user", make_strings(keys)},
                     {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                     {"amount", make_column<int64_t>(DataType::of(TypeId::kInt64), values)}});
}

WindowAggregationSpec spec_of(int64_t size, int64_t slide, int64_t offset = 0) {
  WindowAggregationSpec spec;
  spec.window = {size, slide, offset};
  spec.key_columns = {0};
  spec.event_time_column = 1;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}, {AggregateKind::kSum, 2, "total"}};
  return spec;
}

Harness harness(const WindowAggregationSpec& spec, int threads = 1) {
  return Harness(spec, batch_of({}).schema, threads);
}

TEST(TumblingWindow, EmitsKeyWindowAndAggregates) {
  Harness h = harness(spec_of(10, 10));
  EXPECT_EQ(h.aggregation.output_schema()->to_string(),
            "user: string, window_start: timestamp[ms] not null, "
            "window_end: timestamp[ms] not null, n: int64 not null, total: int64");
  h.add(batch_of({{"ann", 1, 5}, {"bob", 2, 7}, {"ann", 9, 1}, {"ann", 10, 100}}));
  EXPECT_EQ(h.advance(9), (Rows{{"'ann'", "0", "10", "2", "6"}, {"'bob'", "0", "10", "1", "7"}}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "10", "20", "1", "100"}}));
}

TEST(TumblingWindow, FiresExactlyWhenTheWatermarkReachesItsLastTick) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{"ann", 0, 1}}));
  EXPECT_EQ(h.advance(8), Rows{});
  EXPECT_EQ(h.advance(9).size(), 1u);
}

TEST(TumblingWindow, FloorsTimesBefore1970) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{"ann", -1, 1}, {"ann", -10, 2}, {"ann", -11, 4}}));
  EXPECT_EQ(h.advance(kMaxWatermark),
            (Rows{{"'ann'", "-20", "-10", "1", "4"}, {"'ann'", "-10", "0", "2", "3"}}));
}

TEST(TumblingWindow, JudgesEachRowByTheWatermarkBeforeIt) {
  Harness h = harness(spec_of(10, 10));
  // In force: 8 keeps [0, 10) open, 9 closes it, and 9 leaves [10, 20) open.
  h.add(batch_of({{"ann", 5, 1}, {"ann", 5, 2}, {"ann", 12, 4}}), {8, 9, 9});
  EXPECT_EQ(h.late, (std::vector<int32_t>{1}));
  EXPECT_EQ(h.advance(kMaxWatermark),
            (Rows{{"'ann'", "0", "10", "1", "1"}, {"'ann'", "10", "20", "1", "4"}}));
}

TEST(TumblingWindow, AcceptsARowBehindTheWatermarkWhoseWindowIsOpen) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{"ann", 3, 1}}), 8);
  EXPECT_TRUE(h.late.empty());
  EXPECT_EQ(h.advance(9).size(), 1u);
}

TEST(TumblingWindow, HoldsARowThatCameAfterItsRoundToTheWatermarkOfTheRound) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{"ann", 15, 1}}));
  h.advance(9);
  h.add(batch_of({{"ann", 5, 1}, {"ann", 15, 1}}), kMinWatermark);
  EXPECT_EQ(h.late, (std::vector<int32_t>{0}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "10", "20", "2", "2"}}));
}

TEST(TumblingWindow, EmitsNothingForEmptyWindowsHoweverMany) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{"ann", 0, 1}, {"ann", 4'000'000'000'000'000'000, 2}}));
  EXPECT_EQ(h.advance(kMaxWatermark).size(), 2u);
  EXPECT_EQ(h.aggregation.open_slices(), 0);
}

TEST(TumblingWindow, WatermarkNeverGoesBack) {
  Harness h = harness(spec_of(10, 10));
  h.advance(20);
  h.add(batch_of({{"ann", 5, 1}, {"ann", 25, 1}}));
  EXPECT_EQ(h.late, (std::vector<int32_t>{0}));
  EXPECT_EQ(h.advance(3), Rows{});
  h.add(batch_of({{"ann", 6, 1}}), kMinWatermark);
  EXPECT_EQ(h.late, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(h.advance(29).size(), 1u);
}

TEST(TumblingWindow, EverythingIsLateAfterTheEndOfInput) {
  Harness h = harness(spec_of(10, 10));
  h.advance(kMaxWatermark);
  h.add(batch_of({{"ann", 5, 1}, {"ann", 4'000'000'000'000'000'000, 1}}));
  EXPECT_EQ(h.late, (std::vector<int32_t>{0, 1}));
}

TEST(TumblingWindow, GroupsNullKeys) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({{std::nullopt, 0, 1}, {"ann", 1, 2}, {std::nullopt, 2, 4}}));
  EXPECT_EQ(h.advance(9), (Rows{{"null", "0", "10", "2", "5"}, {"'ann'", "0", "10", "1", "2"}}));
}

TEST(TumblingWindow, TakesAnEmptyBatch) {
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of({}));
  EXPECT_EQ(h.advance(kMaxWatermark), Rows{});
}

TEST(TumblingWindow, KeepsWindowsApartInABatchThatMixesThem) {
  Harness h = harness(spec_of(10, 10));
  std::vector<Row> rows;
  for (int64_t i = 0; i < 3000; ++i) rows.push_back({"ann", (i * 7) % 30, 1});
  h.add(batch_of(rows));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "0", "10", "1000", "1000"},
                                            {"'ann'", "10", "20", "1000", "1000"},
                                            {"'ann'", "20", "30", "1000", "1000"}}));
}

TEST(HoppingWindow, CountsARowInEachWindow) {
  Harness h = harness(spec_of(30, 10));
  h.add(batch_of({{"ann", 5, 1}, {"ann", 15, 2}}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "-20", "10", "1", "1"},
                                            {"'ann'", "-10", "20", "2", "3"},
                                            {"'ann'", "0", "30", "2", "3"},
                                            {"'ann'", "10", "40", "1", "2"}}));
}

TEST(HoppingWindow, CountsALateRowInTheWindowsStillOpen) {
  Harness h = harness(spec_of(30, 10));
  // At watermark 34 the windows that end at 10, 20 and 30 are closed.
  h.add(batch_of({{"ann", 0, 1}, {"ann", 35, 2}, {"ann", 12, 4}, {"ann", -1, 8}}),
        {kMinWatermark, kMinWatermark, 34, 34});
  EXPECT_EQ(h.late, (std::vector<int32_t>{3}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "-20", "10", "1", "1"},
                                            {"'ann'", "-10", "20", "1", "1"},
                                            {"'ann'", "0", "30", "1", "1"},
                                            {"'ann'", "10", "40", "2", "6"},
                                            {"'ann'", "20", "50", "1", "2"},
                                            {"'ann'", "30", "60", "1", "2"}}));
}

TEST(HoppingWindow, LateRowMayBeAloneInItsWindows) {
  Harness h = harness(spec_of(30, 10));
  h.add(batch_of({{"ann", 5, 1}}), 15);  // late for the window that ends at 10
  EXPECT_TRUE(h.late.empty());
  EXPECT_EQ(h.advance(19), (Rows{{"'ann'", "-10", "20", "1", "1"}}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "0", "30", "1", "1"}}));
}

TEST(HoppingWindow, TakesASlideThatDoesNotDivideTheSize) {
  Harness h = harness(spec_of(10, 4));
  h.add(batch_of({{"ann", 12, 1}, {"ann", 14, 2}}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"'ann'", "4", "14", "1", "1"},
                                            {"'ann'", "8", "18", "2", "3"},
                                            {"'ann'", "12", "22", "2", "3"}}));
}

TEST(HoppingWindow, SkipsAGapWithoutVisitingItsWindows) {
  Harness h = harness(spec_of(30, 10));
  h.add(batch_of({{"ann", 0, 1}, {"ann", 4'000'000'000'000'000'000, 2}}));
  EXPECT_EQ(h.advance(kMaxWatermark).size(), 6u);
}

TEST(WindowAggregation, WithoutKeysHasOneRowPerWindow) {
  WindowAggregationSpec spec = spec_of(10, 10);
  spec.key_columns = {};
  Harness h = harness(spec);
  h.add(batch_of({{"ann", 1, 5}, {"bob", 2, 7}, {"ann", 12, 1}}));
  EXPECT_EQ(h.advance(kMaxWatermark), (Rows{{"0", "10", "2", "12"}, {"10", "20", "1", "1"}}));
}

TEST(WindowAggregation, MergesThreads) {
  for (const int64_t size : {10, 20}) {
    Harness h = harness(spec_of(size, 10), 2);
    h.add(batch_of({{"ann", 1, 5}, {"bob", 2, 7}}), kMinWatermark, 0);
    h.add(batch_of({{"bob", 3, 1}, {"cid", 4, 2}}), kMinWatermark, 1);
    Rows rows = h.advance(9);
    std::sort(rows.begin(), rows.end());
    const std::string start = std::to_string(10 - size);
    EXPECT_EQ(rows, (Rows{{"'ann'", start, "10", "1", "5"},
                          {"'bob'", start, "10", "2", "8"},
                          {"'cid'", start, "10", "1", "2"}}));
  }
}

TEST(WindowAggregation, TakesDaysAndPlainIntegersAsEventTime) {
  const RecordBatch days =
      make_batch({{"day", make_column<int32_t>(DataType::of(TypeId::kDate32), {-1, 0, 6, 7})}});
  WindowAggregationSpec spec;
  spec.window = {7, 7, 0};
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}};
  Harness weeks(spec, days.schema);
  weeks.add(days);
  EXPECT_EQ(weeks.advance(kMaxWatermark),
            (Rows{{"-7", "0", "1"}, {"0", "7", "2"}, {"7", "14", "1"}}));
  EXPECT_EQ(weeks.aggregation.output_schema()->fields[0].type.id, TypeId::kDate32);

  const RecordBatch ticks = make_batch(
      {{"t", make_encoded(make_column<int64_t>(DataType::of(TypeId::kInt64), {3, 8}), {1, 0, 1})}});
  Harness encoded(spec, ticks.schema);
  encoded.add(ticks);
  EXPECT_EQ(encoded.advance(kMaxWatermark), (Rows{{"0", "7", "1"}, {"7", "14", "2"}}));
}

TEST(WindowAggregation, SaysWhenNothingCanBeLate) {
  Harness h = harness(spec_of(30, 10));
  // The first window of times from 40 on ends at 50.
  EXPECT_FALSE(h.aggregation.may_be_late(40, 48));
  EXPECT_TRUE(h.aggregation.may_be_late(40, 49));
  EXPECT_FALSE(h.aggregation.may_be_late(40, kMinWatermark));
  EXPECT_TRUE(h.aggregation.may_be_late(INT64_MIN, kMinWatermark)) << "add() has to refuse it";
}

TEST(WindowAggregation, EmitsManyKeysInSeveralBatches) {
  std::vector<Row> rows;
  for (int i = 0; i < 70000; ++i) rows.push_back({std::to_string(i), i % 10, i});
  Harness h = harness(spec_of(10, 10));
  h.add(batch_of(rows));
  std::vector<int64_t> sizes;
  h.aggregation.advance(9, [&](RecordBatch&& batch) { sizes.push_back(batch.num_rows); });
  EXPECT_EQ(sizes, (std::vector<int64_t>{65536, 70000 - 65536}));
}

// New keys in every window: memory follows the open windows, not the history.
TEST(WindowAggregation, ForgetsKeysOfClosedWindows) {
  for (const int threads : {1, 2}) {
    for (const int64_t size : {10, 20}) {
      Harness h = harness(spec_of(size, 10), threads);
      int64_t largest = 0;
      int64_t emitted = 0;
      for (int64_t window = 0; window < 60; ++window) {
        std::vector<Row> rows;
        for (int64_t i = 0; i < 10000; ++i) {
          rows.push_back({std::to_string(window * 10000 + i), window * 10, 1});
        }
        h.add(batch_of(rows), kMinWatermark, static_cast<int>(window % threads));
        emitted += static_cast<int64_t>(h.advance(window * 10 - 1).size());
        largest = std::max(largest, h.aggregation.state_bytes());
      }
      emitted += static_cast<int64_t>(h.advance(kMaxWatermark).size());
      EXPECT_EQ(emitted, 600000 * size / 10);
      EXPECT_LT(largest, 60'000'000) << threads << " threads, size " << size;
      EXPECT_EQ(h.aggregation.open_slices(), 0);
    }
  }
}

// Many keys, few of them in each slice.
TEST(WindowAggregation, KeepsSmallSlicesOfManyKeysSmall) {
  Harness h = harness(spec_of(40, 10));
  std::vector<Row> rows;
  for (int i = 0; i < 50000; ++i) rows.push_back({std::to_string(i), 0, 1});
  h.add(batch_of(rows));
  rows.clear();
  for (int64_t slice = 1; slice < 2000; ++slice) {
    rows.push_back({std::to_string(slice), slice * 10, slice});
  }
  h.add(batch_of(rows));
  EXPECT_EQ(h.aggregation.open_slices(), 2000);
  EXPECT_LT(h.aggregation.state_bytes(), 30'000'000);
  Rows result = h.advance(kMaxWatermark);
  // Keys 1, 2 and 3 share 3, 2 and 1 windows with the first slice.
  EXPECT_EQ(result.size(), 4u * 50000 + 4u * 1999 - 6);
  EXPECT_EQ(result.back(), (std::vector<std::string>{"'1999'", "19990", "20030", "1", "1999"}));
}

ErrorCode code_of(const std::function<void()>& body, const std::vector<std::string>& words) {
  try {
    body();
  } catch (const Error& error) {
    for (const std::string& word : words) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos)
          << "'" << word << "' is missing: " << error.what();
    }
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kClosed;
}

TEST(WindowAggregation, RefusesNullEventTimeNamingColumnAndRow) {
  RecordBatch batch = batch_of({{"ann", 1, 5}, {"bob", 2, 7}, {"bob", 3, 7}});
  batch.columns[1] =
      make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {1, 2, std::nullopt});
  Harness h = harness(spec_of(10, 10));
  EXPECT_EQ(code_of([&] { h.add(batch); }, {"ts", "row 2", "null"}), ErrorCode::kOperator);
  EXPECT_EQ(h.advance(kMaxWatermark), Rows{}) << "nothing of the batch was added";
}

TEST(WindowAggregation, RefusesTimesWhoseWindowsDoNotFit) {
  for (const int64_t slide : {10, 4}) {
    for (const int64_t time : {INT64_MIN, INT64_MAX}) {
      Harness h = harness(spec_of(10, slide));
      EXPECT_EQ(code_of([&] { h.add(batch_of({{"ann", 0, 1}, {"ann", time, 1}})); },
                        {std::to_string(time), "row 1", "ts"}),
                ErrorCode::kOperator);
      EXPECT_EQ(h.advance(kMaxWatermark), Rows{});
    }
  }
}

TEST(WindowAggregation, RefusesWhatItCannotDoWhenItIsBuilt) {
  const SchemaPtr input = batch_of({}).schema;
  const auto build = [&](const std::function<void(WindowAggregationSpec*)>& change,
                         int threads = 1) {
    return [&, change, threads] {
      WindowAggregationSpec spec = spec_of(10, 10);
      change(&spec);
      WindowAggregation aggregation(spec, input, threads);
    };
  };
  using Spec = WindowAggregationSpec;
  EXPECT_EQ(code_of(build([](Spec* s) { s->window.size = 0; }), {"size"}), ErrorCode::kConfig);
  EXPECT_EQ(code_of(build([](Spec*) {}, 0), {"threads"}), ErrorCode::kConfig);
  EXPECT_EQ(code_of(build([](Spec* s) { s->event_time_column = 0; }), {"user", "string"}),
            ErrorCode::kSchema);
  EXPECT_EQ(code_of(build([](Spec* s) { s->event_time_column = 9; }), {"9"}), ErrorCode::kSchema);
  EXPECT_EQ(code_of(build([](Spec* s) { s->key_columns = {3}; }), {"3"}), ErrorCode::kSchema);
  EXPECT_EQ(code_of(build([](Spec* s) { s->aggregates[1].input = 7; }), {"total", "7"}),
            ErrorCode::kSchema);
  EXPECT_EQ(code_of(build([](Spec* s) { s->aggregates[1].input = 0; }), {"sum", "user", "string"}),
            ErrorCode::kSchema);
  EXPECT_EQ(code_of(build([](Spec* s) { s->aggregates[1].name = "user"; }), {"two", "user"}),
            ErrorCode::kSchema);
}

TEST(AllowedLateness, LateRowsJoinTheirKeysThoughKeysAreForgotten) {
  for (const int threads : {1, 2}) {
    WindowAggregationSpec spec = spec_of(10, 10);
    spec.allowed_lateness = 15;
    Harness h = harness(spec, threads);
    constexpr int64_t kKeys = 50'000;
    int64_t largest = 0;
    for (int64_t round = 0; round < 8; ++round) {
      std::vector<Row> rows;
      for (int64_t key = 0; key < kKeys; ++key) {
        rows.push_back({std::to_string(round * kKeys + key), round * 10, 1});
      }
      h.add(batch_of(rows), round * 10 - 1, static_cast<int>(round) % threads);
      ASSERT_EQ(h.advance(round * 10 + 9).size(), static_cast<size_t>(kKeys));
      // Its window is kept until the next one has fired, and half of that.
      const std::string key = std::to_string(round * kKeys + 7);
      h.add(batch_of({{key, round * 10 + 1, 5}}), round * 10 + 9);
      const std::string start = std::to_string(round * 10), end = std::to_string(round * 10 + 10);
      ASSERT_EQ(h.add_behind(), (Rows{{"'" + key + "'", start, end, "2", "6"}}));
      if (round == 3) largest = h.aggregation.state_bytes();
    }
    EXPECT_LE(h.aggregation.state_bytes(), largest);
    EXPECT_TRUE(h.late.empty());
  }
}

TEST(AllowedLateness, WindowsThatAreKeptAreCountedAndForgotten) {
  WindowAggregationSpec spec = spec_of(10, 10);
  spec.allowed_lateness = 100;
  Harness h = harness(spec);
  std::vector<Row> rows;
  for (int64_t key = 0; key < 10'000; ++key) rows.push_back({std::to_string(key), 1, 1});
  h.add(batch_of(rows));
  h.advance(9);
  const int64_t kept = h.aggregation.state_bytes();
  h.advance(108);
  EXPECT_EQ(h.aggregation.state_bytes(), kept);
  h.advance(109);
  EXPECT_LT(h.aggregation.state_bytes(), kept - 10'000 * 16);
}

TEST(AllowedLateness, IsNotNegative) {
  WindowAggregationSpec spec = spec_of(10, 10);
  spec.allowed_lateness = -1;
  EXPECT_THROW(harness(spec), Error);
}

}  // namespace
}  // namespace pystream::windows
