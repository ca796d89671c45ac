// Sessions: how records merge, when a session fires, what is late, in the words of Flink's rules.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "session_rows.hpp"

namespace pystream::windows {
namespace {

using Keys = std::vector<std::optional<std::string>>;
using Times = std::vector<std::optional<int64_t>>;

SessionAggregationSpec gap_of(int64_t gap, int64_t allowed_lateness = 0) {
  SessionAggregationSpec spec;
  spec.session.gap = gap;
  spec.session.allowed_lateness = allowed_lateness;
  spec.key_columns = {0};
  spec.event_time_column = 1;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}, {AggregateKind::kSum, 2, "total"}};
  return spec;
}

// Row i has the value 2^i, so that a sum tells which rows are in a session.
RecordBatch records(const Keys& keys, const Times& times) {
  Times values;
  for (size_t i = 0; i < times.size(); ++i) values.push_back(int64_t{1} << i);
  return make_batch({{"key", make_strings(keys)},
                     {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                     {"value", make_column<int64_t>(DataType::of(TypeId::kInt64), values)}});
}
RecordBatch records(const Times& times) { return records(Keys(times.size(), "a"), times); }

SessionHarness harness(const SessionAggregationSpec& spec) {
  return {spec, records({"a"}, {0}).schema};
}

TEST(Sessions, RecordsOneGapApartAreOneSession) {
  SessionHarness apart = harness(gap_of(10));
  apart.add(records({0, 11}));
  EXPECT_EQ(apart.advance(kMaxWatermark),
            (Rows{{"'a'", "0", "10", "1", "1"}, {"'a'", "11", "21", "1", "2"}}));
  SessionHarness touching = harness(gap_of(10));
  touching.add(records({0, 10}));
  EXPECT_EQ(touching.advance(kMaxWatermark), (Rows{{"'a'", "0", "20", "2", "3"}}));
}

TEST(Sessions, ASessionFiresWhenTheWatermarkReachesItsLastTick) {
  SessionHarness sessions = harness(gap_of(10));
  sessions.add(records({0, 3}));
  EXPECT_EQ(sessions.advance(11), Rows{});
  EXPECT_EQ(sessions.advance(12), (Rows{{"'a'", "0", "13", "2", "3"}}));
  EXPECT_EQ(sessions.advance(kMaxWatermark), Rows{});
  EXPECT_EQ(sessions.aggregation.open_sessions(), 0);
  EXPECT_EQ(sessions.watermarks_of_rows, (std::vector<int64_t>{11}));
}

TEST(Sessions, ARecordBetweenTwoSessionsBridgesThem) {
  SessionHarness sessions = harness(gap_of(10));
  sessions.add(records({0, 20, 40, 10}));
  EXPECT_EQ(sessions.advance(kMaxWatermark),
            (Rows{{"'a'", "0", "30", "3", "11"}, {"'a'", "40", "50", "1", "4"}}));
}

TEST(Sessions, OneRecordCanBridgeManySessions) {
  // Gaps from a column: short ones leave sessions apart, and a long one spans them.
  SessionAggregationSpec spec = gap_of(0);
  spec.session.gap_column = 2;
  const RecordBatch batch =
      make_batch({{"key", make_strings({"a", "a", "a", "a", "a"})},
                  {"ts", make_column<int64_t>(DataType::of(TypeId::kInt64), {0, 10, 20, 30, 5})},
                  {"gap", make_column<int64_t>(DataType::of(TypeId::kInt64), {1, 1, 1, 1, 15})}});
  SessionHarness sessions(spec, batch.schema);
  sessions.add(batch);
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"'a'", "0", "1", "1", "1"},
                                                   {"'a'", "5", "21", "3", "17"},
                                                   {"'a'", "30", "31", "1", "1"}}));
}

TEST(Sessions, ALateRecordIsSavedByAnOpenSessionAndCanBridgeTwo) {
  SessionHarness sessions = harness(gap_of(10));
  // At watermark 25 the sessions [20, 30) and [35, 45) are open. 11 alone would end at 21, and
  // touches [20, 30); 4 touches [11, 30). 0 alone would end at 10 and touches nothing.
  const Rows none = sessions.add(records({20, 35, 11, 4, -7}), {kMinWatermark, 9, 25, 25, 25});
  EXPECT_EQ(none, Rows{});
  EXPECT_EQ(sessions.late, (std::vector<int32_t>{4}));
  // 28 alone would end at 38 and is behind the watermark 37; it bridges what is open.
  sessions.add(records({28}), 28);
  EXPECT_EQ(sessions.late, std::vector<int32_t>{});
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"'a'", "4", "45", "5", "16"}}));
}

TEST(Sessions, LatenessIsThatOfTheMergedSession) {
  SessionHarness sessions = harness(gap_of(10));
  // At watermark 24 a session that ends at 25 is closed: 15 alone is late, 16 alone is not.
  sessions.add(records({"a", "b", "c"}, {15, 16, 15}), 24);
  EXPECT_EQ(sessions.late, (std::vector<int32_t>{0, 2}));
  // b is open until 26, so it takes a record that alone would be late.
  sessions.add(records({"b", "a"}, {7, 7}), 24);
  EXPECT_EQ(sessions.late, (std::vector<int32_t>{1}));
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"'b'", "7", "26", "2", "3"}}));
}

TEST(Sessions, AFiredSessionIsGoneAndItsNeighbourStartsAnew) {
  // The third record comes at watermark 9: [0, 10) has fired, also where advance() has not run.
  SessionHarness sessions = harness(gap_of(10));
  sessions.add(records({"a", "b", "a"}, {0, 10, 10}), {kMinWatermark, -1, 9});
  EXPECT_EQ(sessions.advance(9), (Rows{{"'a'", "0", "10", "1", "1"}}));
  EXPECT_EQ(sessions.advance(kMaxWatermark),
            (Rows{{"'b'", "10", "20", "1", "2"}, {"'a'", "10", "20", "1", "4"}}));
  // One tick before, the session is open.
  SessionHarness open = harness(gap_of(10));
  open.add(records({"a", "b", "a"}, {0, 9, 10}), {kMinWatermark, -1, 8});
  EXPECT_EQ(open.advance(kMaxWatermark),
            (Rows{{"'b'", "9", "19", "1", "2"}, {"'a'", "0", "20", "2", "5"}}));
}

TEST(Sessions, SessionsFireInTheOrderOfTheirEndsThenOfTheirFirstRecords) {
  SessionHarness sessions = harness(gap_of(10));
  sessions.add(records({"c", "a", "b", "d", "a"}, {5, 1, 5, 2, 3}));
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"'d'", "2", "12", "1", "8"},
                                                   {"'a'", "1", "13", "2", "18"},
                                                   {"'c'", "5", "15", "1", "1"},
                                                   {"'b'", "5", "15", "1", "4"}}));
}

TEST(Sessions, NullKeysAreOneGroupAndTimesMayLieBefore1970) {
  SessionHarness sessions = harness(gap_of(10));
  sessions.add(records({std::nullopt, "", std::nullopt}, {-15, -15, -6}));
  EXPECT_EQ(sessions.advance(-1), (Rows{{"''", "-15", "-5", "1", "2"}}));
  EXPECT_EQ(sessions.advance(3), (Rows{{"null", "-15", "4", "2", "5"}}));
}

TEST(Sessions, WithoutKeysTheWholeStreamHasSessions) {
  SessionAggregationSpec spec = gap_of(10);
  spec.key_columns = {};
  SessionHarness sessions(spec, records({"a"}, {0}).schema);
  sessions.add(records({"a", "b", "c"}, {0, 30, 5}));
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"0", "15", "2", "5"}, {"30", "40", "1", "2"}}));
}

TEST(Sessions, DatesHaveSessionsOfDays) {
  SessionAggregationSpec spec = gap_of(2);
  spec.key_columns = {};
  spec.event_time_column = 0;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}};
  const auto days = [](const std::vector<std::optional<int32_t>>& values) {
    return make_batch({{"day", make_column<int32_t>(DataType::of(TypeId::kDate32), values)}});
  };
  SessionHarness sessions(spec, days({0}).schema);
  sessions.add(days({-1, 1, 4}));
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"-1", "3", "2"}, {"4", "6", "1"}}));
  EXPECT_THROW(sessions.add(days({INT32_MAX - 1})), Error);
}

TEST(SessionLateness, ALateRecordFiresTheSessionAgainAtOnce) {
  SessionHarness sessions = harness(gap_of(10, 5));
  sessions.add(records({0}));
  EXPECT_EQ(sessions.advance(9), (Rows{{"'a'", "0", "10", "1", "1"}}));
  // At watermark 13 the session is kept, for 10 - 1 + 5 = 14 is not reached.
  EXPECT_EQ(sessions.add(records({-3}), 13), (Rows{{"'a'", "-3", "10", "2", "2"}}));
  EXPECT_EQ(sessions.watermarks_of_rows, (std::vector<int64_t>{8, 13}));
  EXPECT_EQ(sessions.advance(14), Rows{});
  EXPECT_EQ(sessions.aggregation.open_sessions(), 0);
  EXPECT_EQ(sessions.add(records({-1}), 14), Rows{});
  EXPECT_EQ(sessions.late, (std::vector<int32_t>{0}));
}

TEST(SessionLateness, AFiredSessionThatGrowsFiresAtItsNewEnd) {
  SessionHarness sessions = harness(gap_of(10, 50));
  sessions.add(records({0}));
  EXPECT_EQ(sessions.advance(9), (Rows{{"'a'", "0", "10", "1", "1"}}));
  EXPECT_EQ(sessions.add(records({7}), 9), Rows{});
  EXPECT_EQ(sessions.advance(15), Rows{});
  EXPECT_EQ(sessions.advance(16), (Rows{{"'a'", "0", "17", "2", "2"}}));
  EXPECT_EQ(sessions.advance(66), Rows{});
  EXPECT_EQ(sessions.aggregation.open_sessions(), 0);
}

TEST(SessionLateness, ANewSessionThatHasEndedFiresWithItsRecord) {
  SessionHarness sessions = harness(gap_of(10, 50));
  EXPECT_EQ(sessions.add(records({0}), 40), (Rows{{"'a'", "0", "10", "1", "1"}}));
  EXPECT_EQ(sessions.add(records({20}), 40), (Rows{{"'a'", "20", "30", "1", "1"}}));
  // It bridges both, and the whole fires.
  EXPECT_EQ(sessions.add(records({10}), 40), (Rows{{"'a'", "0", "30", "3", "3"}}));
}

TEST(SessionLateness, WhatWasDueFiresBeforeALateRecord) {
  // Within one batch: [0, 10) of b fires at watermark 9, before the record that a gets at 12.
  SessionHarness sessions = harness(gap_of(10, 50));
  const Rows rows = sessions.add(records({"b", "a", "a"}, {0, 13, 1}), {kMinWatermark, -1, 12});
  EXPECT_EQ(rows, (Rows{{"'b'", "0", "10", "1", "1"}, {"'a'", "1", "11", "1", "4"}}));
  // A session that is due and takes a late record fires without it, then with it.
  SessionHarness twice = harness(gap_of(10, 50));
  const Rows both = twice.add(records({"a", "b", "a"}, {0, 13, 0}), {kMinWatermark, -1, 12});
  EXPECT_EQ(both, (Rows{{"'a'", "0", "10", "1", "1"}, {"'a'", "0", "10", "2", "5"}}));
}

std::string message_of(SessionHarness* sessions, const RecordBatch& batch) {
  try {
    sessions->add(batch);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    return error.what();
  }
  return "";
}

TEST(SessionGaps, ABadGapIsAnErrorWithTheValuesOfItsRow) {
  SessionAggregationSpec spec = gap_of(0);
  spec.session.gap_column = 2;
  spec.aggregates.pop_back();
  const auto batch = [](const Array& gaps) {
    return make_batch({{"key", make_strings({"a", "a"})},
                       {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), {7, 8})},
                       {"gap", gaps}});
  };
  const DataType whole = DataType::of(TypeId::kInt64);
  SessionHarness sessions(spec, batch(make_column<int64_t>(whole, {1, 1})).schema);
  for (const std::optional<int64_t> bad : {std::optional<int64_t>(), {0}, {-5}}) {
    const std::string message = message_of(&sessions, batch(make_column<int64_t>(whole, {1, bad})));
    const std::string gap = bad ? std::to_string(*bad) : "null";
    EXPECT_NE(message.find("is " + gap + " (int64) in column 'gap', row 1"), std::string::npos)
        << message;
    EXPECT_NE(message.find("event time 8"), std::string::npos);
  }
  // Nothing of the batches was added.
  EXPECT_EQ(sessions.advance(kMaxWatermark), Rows{});

  DataType duration = DataType::of(TypeId::kDuration);
  duration.unit = TimeUnit::kMicro;
  SessionHarness durations(spec, batch(make_column<int64_t>(duration, {1000, 1000})).schema);
  EXPECT_NE(message_of(&durations, batch(make_column<int64_t>(duration, {1000, 1500})))
                .find("whole number of ticks"),
            std::string::npos);
  durations.add(batch(make_column<int64_t>(duration, {2000, 5000})));
  EXPECT_EQ(durations.advance(kMaxWatermark), (Rows{{"'a'", "7", "13", "2"}}));

  const DataType unsigned_type = DataType::of(TypeId::kUInt64);
  SessionHarness large(spec, batch(make_column<uint64_t>(unsigned_type, {1, 1})).schema);
  EXPECT_NE(message_of(&large, batch(make_column<uint64_t>(unsigned_type, {1, UINT64_MAX})))
                .find("is 18446744073709551615"),
            std::string::npos);
}

TEST(SessionGaps, ATimeWhoseSessionDoesNotFitIsAnError) {
  SessionHarness sessions = harness(gap_of(10));
  EXPECT_NE(message_of(&sessions, records({5, INT64_MAX - 9})).find("9223372036854775798"),
            std::string::npos);
  sessions.add(records({INT64_MAX - 10, INT64_MIN + 1}));
  EXPECT_EQ(sessions.advance(kMaxWatermark).size(), 2u);
}

TEST(SessionGaps, GapsAndLatenessAreCheckedWhenTheSessionsAreMade) {
  const SchemaPtr schema = records({"a"}, {0}).schema;
  EXPECT_THROW(SessionAggregation(gap_of(0), schema), Error);
  EXPECT_THROW(SessionAggregation(gap_of(-1), schema), Error);
  EXPECT_THROW(SessionAggregation(gap_of(1, -1), schema), Error);
  SessionAggregationSpec text = gap_of(0);
  text.session.gap_column = 0;
  EXPECT_THROW(SessionAggregation(text, schema), Error);
  text.session.gap_column = 3;
  EXPECT_THROW(SessionAggregation(text, schema), Error);
}

TEST(SessionState, KeysAndSessionsThatAreGoneAreForgotten) {
  SessionHarness sessions = harness(gap_of(10));
  const int64_t keys = 100'000;
  int64_t largest = 0;
  for (int64_t round = 0; round < 6; ++round) {
    Keys names;
    Times times;
    for (int64_t i = 0; i < keys; ++i) {
      names.push_back(std::to_string(round * keys + i));
      times.push_back(round * 100);
    }
    std::vector<std::optional<int64_t>> ones(names.size(), 1);
    sessions.add(
        make_batch({{"key", make_strings(names)},
                    {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                    {"value", make_column<int64_t>(DataType::of(TypeId::kInt64), ones)}}));
    if (round == 1) largest = sessions.aggregation.state_bytes();
    const Rows rows = sessions.advance(round * 100 + 50);
    ASSERT_EQ(static_cast<int64_t>(rows.size()), keys);
    EXPECT_EQ(rows.front(), (std::vector<std::string>{"'" + std::to_string(round * keys) + "'",
                                                      std::to_string(round * 100),
                                                      std::to_string(round * 100 + 10), "1", "1"}));
  }
  EXPECT_EQ(sessions.aggregation.open_sessions(), 0);
  EXPECT_LE(sessions.aggregation.state_bytes(), 2 * largest);
}

TEST(SessionState, SessionsThatStayAreKeptWhenOthersAreForgotten) {
  SessionHarness sessions = harness(gap_of(1000));
  sessions.add(records({"stays", "stays"}, {0, 5000}));
  const int64_t keys = 100'000;
  Keys names;
  Times times, ones;
  for (int64_t i = 0; i < keys; ++i) {
    names.push_back(std::to_string(i));
    times.push_back(i % 2);
    ones.push_back(1);
  }
  sessions.add(
      make_batch({{"key", make_strings(names)},
                  {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                  {"value", make_column<int64_t>(DataType::of(TypeId::kInt64), ones)}}));
  EXPECT_EQ(static_cast<int64_t>(sessions.advance(1500).size()), keys + 1);
  sessions.add(records({"stays"}, {5500}), 1500);
  EXPECT_EQ(sessions.advance(kMaxWatermark), (Rows{{"'stays'", "5000", "6500", "2", "3"}}));
}

}  // namespace
}  // namespace pystream::windows
